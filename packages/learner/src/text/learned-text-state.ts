import type { CorrectionLayer } from "@afterstate/core";
import type { RewardStatistics } from "../online/reward-watch.js";
import type { Wish } from "./wish.js";

/** Text that was learned from next states: a principle is what users wished, a skill what an evolution wrote. */
export interface LearnedText extends Wish {
  readonly id: string;
  readonly kind: "principle" | "skill";
  /** Of a skill: what it is called, and the words of the requests it is for. */
  readonly name?: string;
  readonly when?: string;
  /** Whom it is shown to: one user, or everyone. */
  readonly scope: { readonly userId: string } | "everyone";
  /** How many evolutions there had been when it came. */
  readonly generation: number;
  /** Who asked for it, and in which sessions. */
  readonly users: readonly string[];
  readonly sessions: readonly string[];
  /** Log offsets of the first and the last time it was asked for. */
  readonly created: number;
  readonly confirmed: number;
  readonly trial: TextTrial;
  /** A candidate is shown to a random half of those that it is for. */
  readonly state: "candidate" | "active" | "retired";
}

/** What was measured of a text. */
export interface TextTrial {
  /** Rewards of the episodes that saw it, and of those that it was held back from. */
  readonly shown: RewardStatistics;
  readonly withheld: RewardStatistics;
  /** Of the episodes of its trial, in order: what they say of the difference. See `differenceOf`. */
  readonly differences: readonly number[];
}

/** Everything that was learned in words, as of some place in the log. */
export interface TextState {
  readonly generation: number;
  readonly texts: readonly LearnedText[];
  /** Everyone who held an episode. */
  readonly users: ReadonlySet<string>;
  /** Parts of corrections by what absorbed them. */
  readonly corrections: Readonly<Record<CorrectionLayer, number>>;
}

/** By what rules text is learned. */
export interface TextRules {
  /** How many users must ask for the same before others see it. */
  readonly shareAfter: number;
}

/** Nothing learned yet. */
export const NO_TEXT: TextState = {
  generation: 0,
  texts: [],
  users: new Set(),
  corrections: { "text-user": 0, "text-shared": 0, decision: 0, weights: 0 },
};

/** Nothing measured yet. */
export const NO_TRIAL: TextTrial = {
  shown: { count: 0, mean: 0, squares: 0 },
  withheld: { count: 0, mean: 0, squares: 0 },
  differences: [],
};

/** Whether a text is one user's own. */
export function isOwn({ scope }: LearnedText, userId: string | undefined): boolean {
  return scope !== "everyone" && scope.userId === userId;
}

/** Whether a text may be shown to a user. */
export function isFor(text: LearnedText, userId: string | undefined): boolean {
  return text.scope === "everyone" || isOwn(text, userId);
}
