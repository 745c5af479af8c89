import type { AgentEvent, StepRef } from "@afterstate/core";
import type { CreditState } from "../credit/step-credit.js";
import type { RewardStatistics } from "../online/reward-watch.js";
import type { FeedbackState } from "../safety/feedback-guard.js";
import type { SafetyState } from "../safety/safety-state.js";
import type { HeadState } from "../signals/process-reward-head.js";
import { countDropped, type DroppedSteps } from "./drop-reason.js";

/** What of the event log a version has learned from, and what credit remembered then. */
export interface LearnedUpTo {
  /** Every episode that starts before this log offset is consumed. */
  readonly offset: number;
  /** Ids of the episodes that are consumed and start at or after `offset`. */
  readonly consumed: readonly string[];
  readonly credit: CreditState;
  /** What the process reward head had learned then, where there is one. */
  readonly head?: HeadState;
  /** What is remembered of users' votes. */
  readonly feedback?: FeedbackState;
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
  /** The sequence of the batch that it was made of: see `BatchRecord`. */
  readonly batch: number;
}

/** Running totals of a learner. */
export interface LearnerCounts {
  readonly updates: number;
  readonly promotions: number;
  readonly rejections: number;
  readonly rollbacks: number;
  readonly episodes: number;
  /** Steps that were trained on. */
  readonly samples: number;
  /** Steps of consumed episodes that were not. */
  readonly dropped: DroppedSteps;
  /** Hints that were measured and did no good: the signals in the log say why. */
  readonly rejectedHints: number;
}

/** Nothing has happened yet. */
export const NO_COUNTS: LearnerCounts = {
  updates: 0,
  promotions: 0,
  rejections: 0,
  rollbacks: 0,
  episodes: 0,
  samples: 0,
  dropped: countDropped([]),
  rejectedHints: 0,
};

/**
 * The commit point of the learner: which version serves and what has been consumed, in one file that is replaced at once.
 * Whatever is not in it has not happened.
 */
export interface ServingPointer {
  /** Counts the commits. */
  readonly sequence: number;
  /** How often learning was begun again from the base: the versions of line n are named `v<number>.<n>`, those of line 0 `v<number>`. */
  readonly line: number;
  /** The sequence of the last batch that counts; 0 before the first. */
  readonly lastBatch: number;
  /** The log offset after the last wish to unlearn a user that the line knows of. */
  readonly unlearnedUpTo: number;
  readonly version: string;
  readonly ancestors: readonly string[];
  /** The highest version number given out. Folders beyond it are left-overs of a crash. */
  readonly lastNumber: number;
  readonly learned: LearnedUpTo;
  readonly rewards: Readonly<Record<string, RewardStatistics>>;
  readonly counts: LearnerCounts;
  /** A candidate on trial, lift, drift and alarms; absent before the first. */
  readonly safety?: SafetyState;
  /** Events that this commit implies: emitted after it, and again at the next start if the log lacks them. */
  readonly outbox: readonly AgentEvent[];
}

const VERSION = /^v(\d+)(?:\.(\d+))?$/;

/** The id of a line's version. */
export function versionName(number: number, line: number): string {
  return line === 0 ? `v${number}` : `v${number}.${line}`;
}

/** The number N of a version named `v<N>` or `v<N>.<line>`; 0 for the version that came with the policy. */
export function versionNumber(version: string): number {
  return Number(VERSION.exec(version)?.[1] ?? 0);
}

/** The line of a version; undefined for what is no name of a learned version. */
export function versionLine(version: string): number | undefined {
  const found = VERSION.exec(version);
  return found ? Number(found[2] ?? 0) : undefined;
}
