import { Container, ContainerModule } from "inversify";
import { AgentError, messageOf } from "./errors.js";
import type { AgentEvent } from "./event.js";
import type { EventBus } from "./event-bus.js";
import type { Plugin } from "./plugin.js";
import { missingService, pluginOrder } from "./plugin-order.js";
import type { ServiceKey } from "./service.js";

/** The plugins of a running agent. Owns what they opened until `dispose()`. */
export interface PluginHost {
  /** Those that were set up, in the order of their setup. */
  readonly plugins: readonly Plugin[];
  /** Why the others were left out. */
  readonly failures: readonly AgentError[];
  find<T>(key: ServiceKey<T>): T | undefined;
  /** Disposes in reverse order, every disposer once. @returns what disposers threw. */
  dispose(): Promise<readonly AgentError[]>;
}

type Disposer = { readonly plugin: string; readonly dispose: () => void | Promise<void> };

const idOf = (name: string) => Symbol.for(`afterstate.service/${name}`);

/**
 * Sets up plugins in the order their requirements ask for, one container module each. When the start is refused,
 * everything that was opened has been disposed.
 *
 * @throws AgentError with a `plugin/…` code.
 */
export async function startPlugins(
  plugins: readonly Plugin[],
  options: {
    readonly services: readonly (readonly [ServiceKey<unknown>, unknown])[];
    readonly events: EventBus;
    readonly emit: (event: AgentEvent) => Promise<void>;
  },
): Promise<PluginHost> {
  const container = new Container();
  for (const [key, service] of options.services) container.bind(idOf(key.name)).toConstantValue(service);
  const ordered = pluginOrder(
    plugins,
    options.services.map(([key]) => key.name),
  );
  const required = new Set(plugins.flatMap((plugin) => (plugin.requires ?? []).map(({ name }) => name)));
  const disposers: Disposer[] = [];
  const started: Plugin[] = [];
  const failures: AgentError[] = [];

  for (const plugin of ordered) {
    const opened = disposers.length;
    try {
      const module = await setUp(plugin, { container, disposers, events: options.events, emit: options.emit });
      container.load(module);
      disposers.splice(opened, 0, { plugin: plugin.name, dispose: () => container.unload(module) });
      started.push(plugin);
    } catch (cause) {
      const error = setupFailed(plugin.name, cause);
      const isCritical = plugin.critical ?? (plugin.provides ?? []).some(({ name }) => required.has(name));
      await disposeAll(disposers.splice(isCritical ? 0 : opened));
      if (isCritical) throw error;
      failures.push(error);
    }
  }

  return {
    plugins: started,
    failures,
    find: <T>({ name }: ServiceKey<T>) =>
      container.isBound(idOf(name)) ? (container.get(idOf(name)) as T) : undefined,
    dispose: () => disposeAll(disposers.splice(0)),
  };
}

async function setUp(
  plugin: Plugin,
  host: {
    readonly container: Container;
    readonly disposers: Disposer[];
    readonly events: EventBus;
    readonly emit: (event: AgentEvent) => Promise<void>;
  },
): Promise<ContainerModule> {
  const provided = new Map<string, unknown>();
  for (const { name } of plugin.requires ?? []) {
    if (!host.container.isBound(idOf(name))) throw missingService(plugin.name, name);
  }
  await plugin.setup?.({
    events: host.events,
    emit: host.emit,
    onDispose: (dispose) => host.disposers.push({ plugin: plugin.name, dispose }),
    get<T>({ name }: ServiceKey<T>): T {
      if (!plugin.requires?.some((key) => key.name === name)) {
        throw new AgentError(
          "plugin/undeclared-service",
          `it asked for service "${name}" without listing it under requires`,
        );
      }
      return host.container.get(idOf(name)) as T;
    },
    provide({ name }, service) {
      if (!plugin.provides?.some((key) => key.name === name)) {
        throw new AgentError(
          "plugin/undeclared-service",
          `it provided service "${name}" without listing it under provides`,
        );
      }
      provided.set(name, service);
    },
  });
  for (const { name } of plugin.provides ?? []) {
    if (!provided.has(name)) {
      throw new AgentError(
        "plugin/undeclared-service",
        `it lists service "${name}" under provides and did not provide it`,
      );
    }
  }
  return new ContainerModule(({ bind }) => {
    for (const [name, service] of provided) bind(idOf(name)).toConstantValue(service);
  });
}

function setupFailed(pluginName: string, cause: unknown): AgentError {
  if (AgentError.isInstance(cause) && cause.code === "plugin/missing-service") return cause;
  return new AgentError(
    "plugin/setup-failed",
    `plugin "${pluginName}" could not be set up: ${messageOf(cause)}; mend its options or leave it out`,
    { cause },
  );
}

async function disposeAll(disposers: readonly Disposer[]): Promise<readonly AgentError[]> {
  const failures: AgentError[] = [];
  for (const { plugin, dispose } of [...disposers].reverse()) {
    try {
      await dispose();
    } catch (cause) {
      failures.push(
        new AgentError("plugin/dispose-failed", `plugin "${plugin}" could not be disposed: ${messageOf(cause)}`, {
          cause,
        }),
      );
    }
  }
  return failures;
}
