import type { AgentEvent, StepRef } from "@afterstate/core";
import type { CreditState } from "../credit/step-credit.js";

/** What of the event log a version has learned from, and what credit remembered then. */
export interface LearnedUpTo {
  /** Every episode that starts before this log offset is consumed. */
  readonly offset: number;
  /** Ids of the episodes that are consumed and start at or after `offset`. */
  readonly consumed: readonly string[];
  readonly credit: CreditState;
}

/** The record of one immutable policy version. */
export interface VersionManifest {
  readonly version: string;
  readonly parent: string;
  /** Parent, parent's parent and so on, as far as they are of use to a recovery. */
  readonly ancestors: readonly string[];
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** Whether it was let through by the gate to serve. */
  readonly promoted: boolean;
  /** The steps it was trained on, each with the log offset of its episode's start. */
  readonly samples: readonly { readonly of: StepRef; readonly offset: number }[];
  readonly gate: Readonly<Record<string, number>>;
  readonly metrics: Readonly<Record<string, number>>;
  readonly learned: LearnedUpTo;
}

/** Reward of the episodes that one version answered: count, mean and sum of squared deviations (Welford). */
export interface RewardStatistics {
  readonly count: number;
  readonly mean: number;
  readonly squares: number;
}

/** Running totals of a learner. */
export interface LearnerCounts {
  readonly updates: number;
  readonly promotions: number;
  readonly rejections: number;
  readonly rollbacks: number;
  readonly episodes: number;
  readonly samples: number;
  /** Samples that were too old, ill-formed, of older text, or in an update that failed. */
  readonly dropped: number;
  /** Those of them from before the last evolution of learned text. */
  readonly ofOlderText: number;
  /** Steps without token record: of a hosted model, or text alone. */
  readonly withoutTokens: number;
}

/** Nothing has happened yet. */
export const NO_COUNTS: LearnerCounts = {
  updates: 0,
  promotions: 0,
  rejections: 0,
  rollbacks: 0,
  episodes: 0,
  samples: 0,
  dropped: 0,
  ofOlderText: 0,
  withoutTokens: 0,
};

/**
 * The commit point of the learner: which version serves and what has been consumed, in one file that is replaced at once.
 * Whatever is not in it has not happened.
 */
export interface ServingPointer {
  /** Counts the commits. */
  readonly sequence: number;
  readonly version: string;
  readonly ancestors: readonly string[];
  /** The highest version number given out. Folders beyond it are left-overs of a crash. */
  readonly lastNumber: number;
  readonly learned: LearnedUpTo;
  readonly rewards: Readonly<Record<string, RewardStatistics>>;
  readonly counts: LearnerCounts;
  /** Events that this commit implies: emitted after it, and again at the next start if the log lacks them. */
  readonly outbox: readonly AgentEvent[];
}

/** The number N of a version named `v<N>`; 0 for the version that came with the policy. */
export function versionNumber(version: string): number {
  const found = /^v(\d+)$/.exec(version);
  return found ? Number(found[1]) : 0;
}
