import { addReward, type RewardStatistics } from "../online/reward-watch.js";
import { type Difference, welchDifference } from "./welch.js";

/** Sessions that may still go on: what is said in them joins the one number that they count. */
const OPEN_SESSIONS = 256;
/** 95 %. */
const Z = 1.96;

/** Who got what was learned, and who did not. */
export type LiftArm = "live" | "holdout";

/** Rewards by arm. A session is one number, the mean of its episodes: what a session says twice is not two observations. */
export interface LiftState {
  /** Sessions that count for good. */
  readonly settled: Readonly<Partial<Record<LiftArm, RewardStatistics>>>;
  /** The latest sessions, in the order in which they were heard of last. */
  readonly open: readonly OpenSession[];
}

interface OpenSession {
  readonly sessionId: string;
  readonly arm: LiftArm;
  readonly episodes: number;
  readonly sum: number;
}

/** What learning is worth: the mean reward of a session that got it less that of one that did not, with a Welch interval of 95 %. */
export interface Lift extends Partial<Difference> {
  /** Mean reward of a session, and how many there were; absent before the first. */
  readonly live?: { readonly mean: number; readonly sessions: number };
  readonly holdout?: { readonly mean: number; readonly sessions: number };
}

/** No session yet. */
export const NO_LIFT: LiftState = { settled: {}, open: [] };

/** Takes the reward of one episode in. */
export function takeInReward(
  state: LiftState,
  { sessionId, arm, reward }: { readonly sessionId: string; readonly arm: LiftArm; readonly reward: number },
): LiftState {
  const known = state.open.find((session) => session.sessionId === sessionId && session.arm === arm);
  const joined = { sessionId, arm, episodes: (known?.episodes ?? 0) + 1, sum: (known?.sum ?? 0) + reward };
  const open = [...state.open.filter((session) => session !== known), joined];
  if (open.length <= OPEN_SESSIONS) return { ...state, open };
  const [oldest, ...rest] = open as [OpenSession, ...OpenSession[]];
  return { settled: settle(state.settled, oldest), open: rest };
}

/** What the sessions so far say. */
export function liftOf(state: LiftState): Lift {
  const { live, holdout } = state.open.reduce(settle, state.settled);
  const told = (statistics: RewardStatistics) => ({ mean: statistics.mean, sessions: statistics.count });
  return {
    ...welchDifference(live, holdout, Z),
    ...(live && { live: told(live) }),
    ...(holdout && { holdout: told(holdout) }),
  };
}

function settle(settled: LiftState["settled"], { arm, episodes, sum }: OpenSession): LiftState["settled"] {
  return { ...settled, [arm]: addReward(settled[arm], sum / episodes) };
}
