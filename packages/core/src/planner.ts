import type { Observation } from "./step.js";

/** A plan for reaching a goal. */
export interface Plan {
  readonly goal: string;
  readonly steps: readonly string[];
  /** The text that the policy sees. */
  readonly text: string;
  /** Estimated return, in the environment's reward units. */
  readonly value: number;
  readonly simulations: number;
}

/** One expansion of the search tree. */
export interface PlanExpansion {
  /** Actions from the root. */
  readonly path: readonly string[];
  readonly visits: number;
  readonly value: number;
}

/** Looks ahead before the policy acts; provided under the service key `PLANNER`. */
export interface Planner {
  /** The goal it can plan for in this observation, or undefined when planning does not apply. Must be cheap. */
  goalOf(observation: Observation): string | undefined;
  /** The best plan found, or undefined when there is none. Calls `onExpand` on every expansion. */
  plan(request: {
    readonly goal: string;
    readonly observation: Observation;
    readonly seed: number;
    readonly onExpand: (expansion: PlanExpansion) => void;
    readonly signal: AbortSignal;
  }): Promise<Plan | undefined>;
}
