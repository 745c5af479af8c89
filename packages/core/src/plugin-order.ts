import { AgentError } from "./errors.js";
import type { Plugin } from "./plugin.js";

/**
 * Plugins in the order of their setup: each after those that provide what it requires, otherwise as given.
 *
 * @param builtIn names of services that are there before any plugin.
 * @throws AgentError `plugin/duplicate-name`, `plugin/duplicate-service`, `plugin/missing-service` or `plugin/cycle`.
 */
export function pluginOrder(plugins: readonly Plugin[], builtIn: readonly string[]): readonly Plugin[] {
  const providers = providersOf(plugins, builtIn);
  for (const plugin of plugins) {
    for (const { name } of plugin.requires ?? []) {
      if (!providers.has(name) && !builtIn.includes(name)) throw missingService(plugin.name, name);
    }
  }
  const ordered: Plugin[] = [];
  const left = new Set(plugins);
  while (left.size > 0) {
    const ready = [...left].find(
      (plugin) => !(plugin.requires ?? []).some(({ name }) => left.has(providers.get(name) as Plugin)),
    );
    if (!ready) throw cycleAmong([...left], providers);
    left.delete(ready);
    ordered.push(ready);
  }
  return ordered;
}

/** A service that a plugin requires and nobody provides. */
export function missingService(pluginName: string, serviceName: string): AgentError {
  return new AgentError(
    "plugin/missing-service",
    `plugin "${pluginName}" requires service "${serviceName}", which no plugin provides; add a plugin that provides "${serviceName}"`,
  );
}

function providersOf(plugins: readonly Plugin[], builtIn: readonly string[]): Map<string, Plugin> {
  const names = new Set<string>();
  const providers = new Map<string, Plugin>();
  for (const plugin of plugins) {
    if (names.has(plugin.name)) {
      throw new AgentError(
        "plugin/duplicate-name",
        `two plugins are named "${plugin.name}"; leave one out, or give one another name`,
      );
    }
    names.add(plugin.name);
    for (const { name } of plugin.provides ?? []) {
      const other = builtIn.includes(name) ? "the agent itself" : providers.get(name);
      if (other) {
        const provider = typeof other === "string" ? other : `plugin "${other.name}"`;
        throw new AgentError(
          "plugin/duplicate-service",
          `plugin "${plugin.name}" provides service "${name}", which ${provider} provides already; leave one of them out`,
        );
      }
      providers.set(name, plugin);
    }
  }
  return providers;
}

function cycleAmong(left: readonly Plugin[], providers: ReadonlyMap<string, Plugin>): AgentError {
  const path: Plugin[] = [];
  let plugin = left[0]!;
  while (!path.includes(plugin)) {
    path.push(plugin);
    const blocking = plugin.requires!.find(({ name }) => left.includes(providers.get(name) as Plugin))!;
    plugin = providers.get(blocking.name)!;
  }
  const names = [...path.slice(path.indexOf(plugin)), plugin].map(({ name }) => `"${name}"`);
  return new AgentError(
    "plugin/cycle",
    `plugins require one another in a circle: ${names.join(" → ")}; remove one of these requirements`,
  );
}
