import { mapMasked, type Ragged } from "../objectives/ragged.js";
import { alongTrajectories, rowsByTrajectory, type StepRows } from "./step-rows.js";

/** What a token of a turn says: the decision to keep or switch the subgoal, the subgoal, the action, or anything else. */
export type HiperRole = "switch" | "subgoal" | "action" | "other";

/** One number for each head: the actions within a subgoal, the subgoals, the decisions to switch. */
export interface HiperHeads<T> {
  readonly low: T;
  readonly high: T;
  readonly term: T;
}

/** Turns, one row each, with the values of three critics before the turn. [row] */
export interface HiperRows extends StepRows {
  readonly rewards: readonly number[];
  /** Whether the episode ended by itself after the turn. A last turn without it was cut off. */
  readonly terminated: readonly boolean[];
  /** Whether the turn chose a new subgoal. */
  readonly switches: readonly boolean[];
  readonly values: HiperHeads<readonly number[]>;
}

/** Numbers of {@link hiper}. */
export interface HiperOptions {
  readonly gamma: number;
  /** λ between turns of a segment. */
  readonly turnLambda: number;
  /** λ between segments. */
  readonly segmentLambda: number;
  /** Whether an episode that was cut off goes on with its own value, or with 0. */
  readonly bootstrapTruncated: boolean;
}

/** As published; an episode that was cut off goes on with 0. */
export const HIPER_DEFAULTS: HiperOptions = {
  gamma: 1,
  turnLambda: 1,
  segmentLambda: 0.95,
  bootstrapTruncated: false,
};

/** Credit of turns by head. [row] */
export interface HiperCredit extends HiperHeads<readonly number[]> {
  /** Whether a segment begins at the turn; where none does, the high head has neither credit nor target. */
  readonly boundary: readonly boolean[];
}

/** From a turn that begins a segment to the one before the next. */
interface Segment {
  readonly rows: readonly number[];
  readonly next: number | undefined;
  readonly cut: boolean;
}

/**
 * Hierarchical advantage estimation: a segment is the turns from one choice of a subgoal to the next.
 *
 *   low   δ_t = r_t + γ V' − V_low(t),  V' = V_low(t+1), or V_high of the next segment;  Â_t = δ_t + γ λ_turn Â_{t+1} in the segment
 *   high  δ_k = Σ_j γ^j r_j + γ^d V_high(k+1) − V_high(k),  Â_k = δ_k + γ^d λ_seg Â_{k+1},  d the turns of segment k
 *   term  Â_t = r_t + γ r_{t+1} + … + γ^n V_high(next segment) − V_term(t)        HiPER, arXiv:2602.16165
 *
 * Differs from the paper: term is without the factor (q_t − β_t), as its release has it. A segment that was cut off goes on with its
 * own V_low(last turn) and V_high(start) where `bootstrapTruncated`. Critics' targets are Â + V.
 */
export function hiper(rows: HiperRows, options: HiperOptions = HIPER_DEFAULTS): HiperCredit {
  const { gamma, turnLambda, segmentLambda, bootstrapTruncated } = options;
  const { rewards, values } = rows;
  const zeros = () => rows.steps.map(() => 0);
  const [low, high, term] = [zeros(), zeros(), zeros()];
  const boundary = rows.steps.map(() => false);
  for (const inOrder of rowsByTrajectory(rows).values()) {
    let nextHigh = 0;
    for (const { rows: turns, next, cut } of segmentsOf(inOrder, rows).toReversed()) {
      const [start, last] = [turns[0]!, turns.at(-1)!];
      const goesOn = cut && bootstrapTruncated;
      const after = next === undefined ? (goesOn ? values.high[start]! : 0) : values.high[next]!;
      let [lowNext, lowValue, toGo] = [0, next === undefined && goesOn ? values.low[last]! : after, after];
      for (const row of turns.toReversed()) {
        lowNext = rewards[row]! + gamma * lowValue - values.low[row]! + gamma * turnLambda * lowNext;
        lowValue = values.low[row]!;
        low[row] = lowNext;
        toGo = rewards[row]! + gamma * toGo;
        term[row] = toGo - values.term[row]!;
      }
      // toGo is now Σ_j γ^j r_j + γ^d V_high(k+1).
      nextHigh = toGo - values.high[start]! + gamma ** turns.length * segmentLambda * nextHigh;
      high[start] = nextHigh;
      boundary[start] = true;
    }
  }
  return { low, high, term, boundary };
}

function segmentsOf(inOrder: readonly number[], { switches, terminated }: HiperRows): Segment[] {
  const starts = inOrder.flatMap((row, k) => (k === 0 || switches[row] ? [k] : []));
  return starts.map((start, i) => {
    const next = starts[i + 1];
    return {
      rows: inOrder.slice(start, next),
      next: next === undefined ? undefined : inOrder[next]!,
      cut: next === undefined && !terminated[inOrder.at(-1)!],
    };
  });
}

/**
 * Each token's credit: actions by low, subgoals where a segment begins by high, decisions to switch by term. Thoughts, and subgoals
 * that were only repeated, are not trained.
 *
 *   Â ← (Â − μ) / (σ + 1e-8) for each head, over the rows that have a token of it, σ of the population
 *
 * @returns advantages, and the mask of what is trained. [row][token]
 */
export function hiperTokens(
  credit: HiperCredit,
  roles: readonly (readonly HiperRole[])[],
  mask: Ragged,
): { readonly advantages: number[][]; readonly mask: number[][]; readonly normalised: HiperHeads<readonly number[]> } {
  const headOf = (row: number, t: number): keyof HiperHeads<unknown> | undefined => {
    const role = mask[row]![t] ? roles[row]![t]! : "other";
    if (role === "subgoal") return credit.boundary[row] ? "high" : undefined;
    return role === "action" ? "low" : role === "switch" ? "term" : undefined;
  };
  const normalise = (head: keyof HiperHeads<unknown>) => {
    const trained = credit[head].filter((_, row) => mask[row]!.some((_, t) => headOf(row, t) === head));
    const mean = trained.reduce((sum, x) => sum + x, 0) / Math.max(1, trained.length);
    const variance = trained.reduce((sum, x) => sum + (x - mean) ** 2, 0) / Math.max(1, trained.length);
    return credit[head].map((advantage) => (advantage - mean) / (Math.sqrt(variance) + 1e-8));
  };
  const normalised = { low: normalise("low"), high: normalise("high"), term: normalise("term") };
  const trained = mapMasked(mask, (row, t) => (headOf(row, t) === undefined ? 0 : 1));
  return { advantages: mapMasked(trained, (row, t) => normalised[headOf(row, t)!][row]!), mask: trained, normalised };
}

/**
 * HiPER's shaping of rewards.
 *
 *   r'_t = r_t + p_keep / T where the turn kept its subgoal and T > 1,  − p_invalid where its action was none
 *          + p_consistency where it kept its subgoal and yet named another than the turn before; a turn that names none is no turn to err
 *
 * T is the length of the trajectory, so that all KEEP turns together cost at most |p_keep|.
 *
 * @param keepPenalty p_keep, at most 0. @param invalidPenalty p_invalid, at least 0. @param consistencyPenalty p_consistency, at most 0.
 * @returns [row]
 */
export function hiperRewards(
  rows: Pick<HiperRows, "trajectories" | "steps" | "rewards" | "switches"> & {
    readonly valid: readonly boolean[];
    /** The subgoal that the turn named. Absent: none did. */
    readonly subgoals?: readonly (string | undefined)[];
  },
  {
    keepPenalty,
    invalidPenalty,
    consistencyPenalty = 0,
  }: { readonly keepPenalty: number; readonly invalidPenalty: number; readonly consistencyPenalty?: number },
): number[] {
  const { rewards, switches, valid, subgoals } = rows;
  return alongTrajectories(rows, (inOrder) =>
    inOrder.map((row, k) => {
      const kept = inOrder.length > 1 && !switches[row] ? keepPenalty / inOrder.length : 0;
      const [before, now] = [subgoals?.[inOrder[k - 1] ?? -1], subgoals?.[row]];
      const other = !switches[row] && before !== undefined && now !== undefined && before !== now;
      return rewards[row]! + kept - (valid[row] ? 0 : invalidPenalty) + (other ? consistencyPenalty : 0);
    }),
  );
}
