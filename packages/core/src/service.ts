import type { ActionStrategy } from "./action-strategy.js";
import type { Decider } from "./decision.js";
import type { Guidance } from "./guidance.js";
import type { Memory } from "./memory.js";
import type { LanguageModel } from "./model.js";
import type { Planner } from "./planner.js";

/** Names a service and carries its type. Two keys of one name are the same service, also across package copies. */
export interface ServiceKey<T> {
  readonly name: string;
  /** Never present at run time; holds the type. */
  readonly service?: T;
}

/** Makes a service key. */
export function serviceKey<T>(name: string): ServiceKey<T> {
  return { name };
}

/** The model that acts. Provided by `createAgent` from its `model` option. */
export const MODEL = serviceKey<LanguageModel>("model");
/** Long-term memory. */
export const MEMORY = serviceKey<Memory>("memory");
/** Search before acting. */
export const PLANNER = serviceKey<Planner>("planner");
/** How one step's action is made. The default is ReAct: one model call a step. */
export const ACTION_STRATEGY = serviceKey<ActionStrategy>("action-strategy");
/** Text that is learned. Without it there is none. */
export const GUIDANCE = serviceKey<Guidance>("guidance");
/** Who makes the plugins' decisions. Without it the first alternative is taken. */
export const DECIDER = serviceKey<Decider>("decider");
