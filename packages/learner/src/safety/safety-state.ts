import { episodeReward, type JudgedEpisode } from "../online/judged-episode.js";
import { addReward, type RewardStatistics } from "../online/reward-watch.js";
import type { Alarm } from "./alarm.js";
import type { Canary } from "./canary.js";
import { type DriftState, NO_DRIFT } from "./drift-watch.js";
import { type LiftState, NO_LIFT, takeInReward } from "./lift.js";

/** What a learner remembers for the sake of safety beside what it trains with: part of its pointer. */
export interface SafetyState {
  /** A candidate on trial. */
  readonly canary?: Canary;
  readonly lift: LiftState;
  /** Log offset from which on something learned has served, and lift is measured. */
  readonly liftSince?: number;
  /** Rewards of held-out episodes since the serving version began to serve. */
  readonly holdout?: RewardStatistics;
  readonly drift: DriftState;
  /** The latest alarms, oldest first. */
  readonly alarms: readonly Alarm[];
}

/** Nothing has happened. */
export const NO_SAFETY: SafetyState = { lift: NO_LIFT, drift: NO_DRIFT, alarms: [] };

/** Alarms that are kept for a report. */
const ALARMS = 16;

/** Counts the rewards of episodes that are consumed. */
export function withEpisodes(
  state: SafetyState,
  episodes: readonly JudgedEpisode[],
  isHeldOut: (sessionId: string) => boolean,
): SafetyState {
  let { lift, holdout } = state;
  for (const episode of episodes) {
    const reward = episodeReward(episode);
    if (reward === undefined) continue;
    const { sessionId, offset, steps } = episode;
    const held = isHeldOut(sessionId);
    if (held) holdout = addReward(holdout, reward);
    // A hosted model has no versions: what it learns is text and decisions, from the first session on.
    const hosted = steps.every(({ tokens }) => tokens === undefined);
    if (hosted || (state.liftSince !== undefined && offset >= state.liftSince))
      lift = takeInReward(lift, { sessionId, arm: held ? "holdout" : "live", reward });
  }
  return { ...state, lift, ...(holdout && { holdout }) };
}

/** Keeps alarms for the report. */
export function withAlarms(state: SafetyState, alarms: readonly Alarm[]): SafetyState {
  return { ...state, alarms: [...state.alarms, ...alarms].slice(-ALARMS) };
}

/** Begins to count what the serving version is compared with anew. @param since the log offset from which on another version serves. */
export function withServing(state: SafetyState, since: number): SafetyState {
  const { canary: _, holdout: __, ...kept } = state;
  return { ...kept, liftSince: state.liftSince ?? since };
}
