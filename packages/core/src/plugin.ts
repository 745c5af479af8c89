import type { Decision } from "./decision.js";
import type { AgentEvent } from "./event.js";
import type { EventBus } from "./event-bus.js";
import type { AgentHooks } from "./hooks.js";
import type { ServiceKey } from "./service.js";
import type { Tool } from "./tool.js";

/**
 * A plugin is plain data from a factory: no class, no decorator, nothing registered on import.
 * The host makes one container module of it; `requires` decides the order of setup.
 */
export interface Plugin {
  readonly name: string;
  /** Services that must be there before `setup` runs. */
  readonly requires?: readonly ServiceKey<unknown>[];
  /** Services that `setup` provides. */
  readonly provides?: readonly ServiceKey<unknown>[];
  /** `true`: the agent does not start when setup fails. Otherwise the plugin is left out and the failure reported. Default true for a plugin that provides services others require. */
  readonly critical?: boolean;
  // biome-ignore lint/suspicious/noExplicitAny: a record of tools with unlike inputs has no other common type
  readonly tools?: Readonly<Record<string, Tool<any, any>>>;
  /** Choices that can be learned. */
  readonly decisions?: readonly Decision[];
  readonly hooks?: AgentHooks;
  setup?(context: PluginContext): void | Promise<void>;
}

/** What a plugin's `setup` may use. */
export interface PluginContext {
  /** Provides a service that the plugin listed under `provides`. */
  provide<T>(key: ServiceKey<T>, service: T): void;
  /** A service that the plugin listed under `requires`. */
  get<T>(key: ServiceKey<T>): T;
  /** Runs when the agent closes, in reverse order of registration. */
  onDispose(dispose: () => void | Promise<void>): void;
  readonly events: EventBus;
  /** Puts an event of the plugin's own on the bus and into the log. Resolves when the log has it. */
  emit(event: AgentEvent): Promise<void>;
}
