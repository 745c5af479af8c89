import { AgentError } from "@afterstate/core";
import { assertSameShape, mapMasked, type Ragged, sampledCounts } from "./ragged.js";
import { sequenceLogRatios } from "./sequence-ratio.js";

/** One side of all pairs. [pair][token] */
export interface PreferenceSide {
  readonly newLogProbs: Ragged;
  readonly referenceLogProbs: Ragged;
  readonly mask: Ragged;
}

/** Pairs of answers to the same prompt: row i of both sides. */
export interface PreferencePairs {
  readonly chosen: PreferenceSide;
  readonly rejected: PreferenceSide;
}

/** A loss of pairs. [pair] unless said. */
export interface PreferenceResult {
  readonly loss: number;
  /** What the loss sees of each pair. */
  readonly margins: readonly number[];
  /** β Σ_t m (log π_θ − log π_ref). */
  readonly chosenRewards: readonly number[];
  readonly rejectedRewards: readonly number[];
  /** ∂ loss / ∂ log π_θ. [pair][token] */
  readonly chosenGradient: Ragged;
  readonly rejectedGradient: Ragged;
}

/** Numbers of {@link dpo} and {@link ipo}. */
export interface PreferenceOptions {
  readonly beta: number;
  /** Pairs of the whole batch; a micro-batch cannot know it. */
  readonly denominator: number;
}

/**
 * Direct preference optimization.
 *
 *   h = β [Σ_t m (log π_θ − log π_ref)_chosen − Σ_t m (…)_rejected]        DPO, arXiv:2305.18290, Eq. 7
 *   L = −(1/N) Σ [(1 − s) log σ(h) + s log σ(−h)],  s the label smoothing   cDPO, Mitchell 2023
 *   ∂L/∂log π_θ,chosen = −(β/N) [(1 − s) σ(−h) − s σ(h)], of opposite sign for the rejected
 *
 * @throws AgentError `tensor/shape`.
 */
export function dpo(
  pairs: PreferencePairs,
  { beta, denominator, labelSmoothing = 0 }: PreferenceOptions & { readonly labelSmoothing?: number },
): PreferenceResult {
  return preference(pairs, { beta, denominator, by: "sum" }, (difference) => {
    const h = beta * difference;
    return {
      margin: h,
      loss: (1 - labelSmoothing) * softplus(-h) + labelSmoothing * softplus(h),
      slope: beta * (labelSmoothing * sigmoid(h) - (1 - labelSmoothing) * sigmoid(-h)),
    };
  });
}

/**
 * Identity preference optimization: a margin that is reached, not exceeded.
 *
 *   h = mean_t (log π_θ − log π_ref)_chosen − mean_t (…)_rejected
 *   L = (1/N) Σ (h − 1/(2β))²                                               IPO, arXiv:2310.12036
 *   ∂L/∂log π_θ,chosen = (2/(N n)) (h − 1/(2β)), of opposite sign for the rejected
 *
 * Differs from the paper: h is of means by token, as TRL has it, so that long answers do not weigh more.
 *
 * @throws AgentError `tensor/shape`.
 */
export function ipo(pairs: PreferencePairs, { beta, denominator }: PreferenceOptions): PreferenceResult {
  return preference(pairs, { beta, denominator, by: "mean" }, (h) => {
    const excess = h - 1 / (2 * beta);
    return { margin: h, loss: excess ** 2, slope: 2 * excess };
  });
}

/** @param of the difference of a pair: its margin, its loss, and the loss's derivative by the difference. */
function preference(
  { chosen, rejected }: PreferencePairs,
  { beta, denominator, by }: PreferenceOptions & { readonly by: "sum" | "mean" },
  of: (difference: number) => { readonly margin: number; readonly loss: number; readonly slope: number },
): PreferenceResult {
  if (chosen.mask.length !== rejected.mask.length)
    throw new AgentError(
      "tensor/shape",
      `${chosen.mask.length} chosen answers do not pair with ${rejected.mask.length} rejected ones`,
    );
  const [better, worse] = [chosen, rejected].map((side) => {
    assertSameShape(side.mask, { ...side });
    return sequenceLogRatios(side.newLogProbs, side.referenceLogProbs, side.mask);
  }) as [ReturnType<typeof sequenceLogRatios>, ReturnType<typeof sequenceLogRatios>];
  const pairs = better.map((pair, i) => of(pair[by] - worse[i]![by]));
  const gradient = ({ mask }: PreferenceSide, sign: 1 | -1) => {
    const counts = sampledCounts(mask);
    return mapMasked(mask, (i) => (sign * pairs[i]!.slope) / denominator / (by === "mean" ? counts[i]! : 1));
  };
  return {
    loss: pairs.reduce((sum, { loss }) => sum + loss / denominator, 0),
    margins: pairs.map(({ margin }) => margin),
    chosenRewards: better.map(({ sum }) => beta * sum),
    rejectedRewards: worse.map(({ sum }) => beta * sum),
    chosenGradient: gradient(chosen, 1),
    rejectedGradient: gradient(rejected, -1),
  };
}

/** log(1 + eˣ), without overflow. */
function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

function sigmoid(x: number): number {
  return x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
}
