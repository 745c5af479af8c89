import type { StepRef, ToolDefinition } from "@afterstate/core";
import type { CreditOptions, CreditState } from "../credit/step-credit.js";
import type { FeedbackRule, FeedbackState } from "../safety/feedback-guard.js";
import type { Holdout } from "../safety/session-draw.js";
import type { TrustRegion, UpdateOptions } from "../types.js";
import type { DropReason } from "./drop-reason.js";
import type { LearnerCounts } from "./version-manifest.js";

/** Which signals train: rewards by credit, hints by distillation, or both. */
export type LearningSignals = "reward" | "hints" | "hybrid";

/** What of a learner's options decides how updates are made. */
export interface UpdateRecipe {
  readonly signals: LearningSignals;
  readonly credit: CreditOptions;
  readonly shuffledVotes: boolean;
  readonly maxStaleness: number;
  readonly update: UpdateOptions;
  /** Absent: nobody is held out. */
  readonly holdout?: Holdout;
  /** Absent: everything is believed. */
  readonly feedback?: FeedbackRule;
  readonly trustRegion?: TrustRegion;
}

/** SHA-256 of what one version's weights and optimizer state are as safetensors. */
export interface UpdateDigests {
  readonly weights: string;
  readonly optimizer: string;
}

/** What one update depended on beside the event log and the base, and what it made: enough to make it again. */
export interface UpdateRecord {
  readonly candidate: string;
  readonly parent: string;
  /** Parent, parent's parent and so on. */
  readonly ancestors: readonly string[];
  /** Whether the gate let it through. */
  readonly accepted: boolean;
  readonly promoted: boolean;
  readonly recipe: UpdateRecipe;
  /** What credit remembered from before. */
  readonly credit: CreditState;
  /** What was remembered of users' votes from before; absent where everything is believed. */
  readonly feedback?: FeedbackState;
  readonly seed: number;
  readonly tools: readonly ToolDefinition[];
  /** Whether it went on from the optimizer's state of the parent, or from none. */
  readonly withOptimizer: boolean;
  /** What the trainer ran on. */
  readonly backend: string;
  /** Absent without a store. */
  readonly digests?: UpdateDigests;
}

/** An episode as it was consumed. */
export interface ConsumedEpisode {
  readonly episodeId: string;
  /** Log offset of its start. */
  readonly offset: number;
  /** Ids of the signal events that counted, in their order. */
  readonly signals: readonly string[];
  /** Why it was consumed without being learned from. */
  readonly skipped?: "unanswered" | "unlearned";
}

/**
 * The record of one batch: which episodes were consumed together, and what became of each of their steps. Those that count are the last
 * one of the serving pointer, the one before it, and so on: a step is in one of them, once, as a sample or as dropped.
 */
export interface BatchRecord {
  /** Of the commit. */
  readonly sequence: number;
  /** The sequence of the record before it; 0 for the first. */
  readonly after: number;
  readonly episodes: readonly ConsumedEpisode[];
  /** The steps that were trained on, each with the log offset of its episode's start. */
  readonly samples: readonly { readonly of: StepRef; readonly offset: number }[];
  readonly dropped: readonly { readonly of: StepRef; readonly reason: DropReason }[];
  /** Absent where nothing was trained on, or the update failed. */
  readonly update?: UpdateRecord;
  /** Running totals after it. */
  readonly counts: LearnerCounts;
}
