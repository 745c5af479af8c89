import { addReward, type RewardStatistics, rewardFell } from "../online/reward-watch.js";
import { sessionDraw } from "./session-draw.js";

/** How a candidate that passed the gate is tried on live sessions before it serves all of them. */
export interface CanaryRule {
  /** Of the sessions that are not held out, 0–1. */
  readonly share: number;
  /** Judged episodes of the candidate, and as many of the serving version in the same time, that decide. */
  readonly episodes: number;
  /** Width of the interval in standard errors. */
  readonly z: number;
}

/** A candidate on trial. It is part of the learner's pointer, and so goes on after a stop. */
export interface Canary {
  readonly version: string;
  /** Those of the candidate. */
  readonly ancestors: readonly string[];
  /** Log offset from which on episodes are compared. */
  readonly since: number;
  /** What the gate found. */
  readonly gate: Readonly<Record<string, number>>;
}

/** What a trial has come to. */
export interface CanaryVerdict {
  readonly decision: "wait" | "promote" | "drop";
  readonly numbers: Readonly<Record<string, number>>;
}

/** Whether a session is answered by the candidate, as long as it is on trial. */
export function isInCanary(sessionId: string, { version }: Canary, { share }: CanaryRule, seed: number): boolean {
  return sessionDraw(sessionId, seed, `canary ${version}`) < share;
}

/**
 * Judges a trial once, when both versions have their episodes: a test that is looked at again and again fails by chance in the end.
 * The candidate is dropped when its mean reward is significantly lower: see {@link rewardFell}.
 */
export function judgeCanary(candidate: readonly number[], serving: readonly number[], rule: CanaryRule): CanaryVerdict {
  const statistics = (rewards: readonly number[]) =>
    rewards.reduce<RewardStatistics | undefined>((before, reward) => addReward(before, reward), undefined);
  const [tried, kept] = [statistics(candidate), statistics(serving)];
  const numbers = {
    canaryEpisodes: candidate.length,
    servingEpisodes: serving.length,
    ...(tried && { canaryReward: tried.mean }),
    ...(kept && { servingReward: kept.mean }),
  };
  if (candidate.length < rule.episodes || serving.length < rule.episodes) return { decision: "wait", numbers };
  return { decision: rewardFell(tried, kept, rule) ? "drop" : "promote", numbers };
}
