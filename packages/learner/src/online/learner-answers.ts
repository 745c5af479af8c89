import type { Signal, StepRef } from "@afterstate/core";
import type { DropReason } from "../versions/drop-reason.js";

/** What came of making a version again. */
export interface Replay {
  readonly version: string;
  /** Whether weights and optimizer state are the same to the bit. */
  readonly identical: boolean;
  /** What was not as it had been, in sentences; empty when identical. */
  readonly differences: readonly string[];
}

/** What became of a step. */
export type StepFate =
  /** It was a sample of the update that made `candidate`, which may have been held back by the gate. */
  | {
      readonly state: "trained";
      readonly batch: number;
      readonly candidate: string;
      readonly accepted: boolean;
      /** Whether it served: at once, or after a trial. */
      readonly promoted: boolean;
      /** Whether what serves now goes back to it. */
      readonly inServingVersion: boolean;
    }
  | { readonly state: "dropped"; readonly batch: number; readonly reason: DropReason }
  /** Its episode has no end or next state, or waits to be judged or for a batch to fill. */
  | { readonly state: "waiting" }
  /** The learner, which has no store, began after it. */
  | { readonly state: "before" }
  /** The log has no such step. */
  | { readonly state: "unknown" };

/** Why a step had the part in learning that it had. */
export interface StepExplanation {
  readonly of: StepRef;
  /** Who judged and advised, with votes and reliability; those that counted once the step is in a batch. */
  readonly signals: readonly Signal[];
  /** What the signals came to; undefined when nobody said anything. */
  readonly reward: number | undefined;
  /** Absent unless an update trained on it. */
  readonly credit?: {
    /** Â of its tokens, [tokens]; 0 where the mask is 0. */
    readonly advantages: readonly number[];
    /** V of what was observed, from before the batch: what the return was compared with. */
    readonly value: number;
  };
  /** Advice on it, whether the teacher of the update saw it, and why it was not accepted, where it was not. */
  readonly hints: readonly { readonly text: string; readonly taught: boolean; readonly rejected?: string }[];
  readonly fate: StepFate;
}
