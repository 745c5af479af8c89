import type { Message } from "./message.js";
import type { ModelRequest } from "./model.js";

/** What a decision may look at. */
export interface DecisionContext {
  readonly sessionId: string;
  readonly userId?: string;
  /** The context with the prompt in it. */
  readonly messages: readonly Message[];
}

/** A choice among few alternatives that can be learned with any model, because it is logged with its propensity. */
export interface Decision {
  readonly name: string;
  /** At least two. The first is taken where nothing chooses. */
  readonly alternatives: readonly string[];
  /** How long a choice holds. A choice that changes the request's beginning costs the prompt cache each time it changes. */
  readonly scope: "session" | "episode";
  /** What the choice may depend on, by name, each about −1 to 1. Must not throw. Default: nothing. */
  features?(context: DecisionContext): Readonly<Record<string, number>>;
  /** The request as the choice wants it. Must not throw. */
  apply(choice: string, request: ModelRequest): ModelRequest;
}

/** A choice that was made. */
export interface Choice {
  readonly choice: string;
  /** Probability with which it was chosen, above 0 and at most 1. */
  readonly propensity: number;
}

/** Chooses. Provided under the service key `DECIDER`. */
export interface Decider {
  /** One of the decision's alternatives. Must be cheap; the same seed and state choose the same. */
  choose(request: {
    readonly decision: Decision;
    readonly features: Readonly<Record<string, number>>;
    readonly sessionId: string;
    readonly userId?: string;
    readonly seed: number;
  }): Choice;
}
