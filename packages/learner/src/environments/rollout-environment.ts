import type { ActionKind, Message } from "@afterstate/core";
import type { Omitted } from "../credit/credited-trajectory.js";
import type { Hierarchy, TextSpan } from "../credit/token-spans.js";

/** What a policy sees before a step of a task, and what credit goes by. */
export interface RolloutObservation {
  readonly messages: readonly Message[];
  /** Equal wherever the same is seen: what steps are compared by. */
  readonly anchor: string;
  /** What the value of a state depends on, e.g. how much is left to do: few keys, for each keeps a running mean. */
  readonly stateKey: string;
}

/** What became of an action. */
export interface RolloutTransition {
  readonly observation: RolloutObservation;
  /** Of the environment itself, e.g. whether the end is right. */
  readonly reward: number;
  /** Of a judge of this step alone. Absent: nobody judged it. */
  readonly verdict?: number;
  readonly kind: ActionKind;
  /** What the action said about its subgoal, for credit by hierarchy: see `readHierarchyTags`. Absent: plans are subgoals. */
  readonly hierarchy?: Hierarchy;
  /** What of the text is true (1) and what is false (−1), for credit by factuality. Absent: nobody checked. */
  readonly factuality?: readonly TextSpan<number>[];
  /** With the last step: what the trajectory left out, for credit by omission. */
  readonly omitted?: Omitted;
  /** Ended by itself. */
  readonly terminated: boolean;
  /** Cut by a limit. */
  readonly truncated: boolean;
}

/** One attempt at one task. The text is what the policy wrote. */
export interface RolloutEpisode {
  readonly observation: RolloutObservation;
  step(text: string): RolloutTransition | Promise<RolloutTransition>;
}

/** A task that can be attempted as often as wanted, side by side. */
export interface RolloutTask {
  /** Attempts at tasks of the same id are compared with one another. */
  readonly id: string;
  open(): RolloutEpisode;
}
