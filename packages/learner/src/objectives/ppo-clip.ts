import { AgentError } from "@afterstate/core";
import { weightedSum } from "./aggregate.js";
import { assertSameShape, type LossAndGradient, mapMasked, type Ragged } from "./ragged.js";

/** |log-ratio| is clamped to it before the exponential. */
export const MAX_LOG_RATIO = 20;

/** Clip range of the importance ratio. */
export interface PpoClipOptions {
  readonly clipLow: number;
  readonly clipHigh: number;
  /** c > 1: the loss of a token with Â < 0 is at most −c Â. Absent: no dual clip. */
  readonly dualClip?: number;
}

/** The PPO loss of a batch, and what each token contributes. */
export interface PpoClipResult extends LossAndGradient {
  /** Before aggregation; 0 where the mask is 0. [row][token] */
  readonly tokenLoss: Ragged;
  /** Share of sampled tokens on whose loss a clip acts. */
  readonly clipFraction: number;
}

/**
 * The clipped surrogate objective.
 *
 *   ρ_t = exp(log π_θ − log π_old)                                  PPO, arXiv:1707.06347, Eq. 6–7
 *   L_t = max(−Â_t ρ_t, −Â_t clip(ρ_t, 1 − ε_low, 1 + ε_high))
 *   Â_t < 0: L_t = min(L_t, −c Â_t)                                 dual clip, arXiv:1912.09729, Eq. 5
 *   ∂L_t/∂log π_θ = −Â_t ρ_t where no clip acts, else 0
 *
 * @param weights of each token in the loss: see `aggregationWeights`. [row][token]
 * @throws AgentError `tensor/shape`, `objective/bad-option`.
 */
export function ppoClip(
  batch: {
    readonly newLogProbs: Ragged;
    readonly oldLogProbs: Ragged;
    readonly advantages: Ragged;
    readonly mask: Ragged;
    readonly weights: Ragged;
  },
  options: PpoClipOptions,
): PpoClipResult {
  const { mask, weights } = batch;
  assertSameShape(mask, batch);
  if (options.dualClip !== undefined && !(options.dualClip > 1))
    throw new AgentError("objective/bad-option", `dualClip is greater than 1, not ${options.dualClip}`);
  let sampled = 0;
  let clipped = 0;
  const slopes = mapMasked(mask, () => 0);
  const tokenLoss = mapMasked(mask, (row, t) => {
    const logRatio = batch.newLogProbs[row]![t]! - batch.oldLogProbs[row]![t]!;
    const { loss, slope } = tokenPpoClip(logRatio, batch.advantages[row]![t]!, options);
    slopes[row]![t] = slope;
    sampled++;
    if (slope === 0 && batch.advantages[row]![t] !== 0) clipped++;
    return loss;
  });
  return {
    loss: weightedSum(weights, tokenLoss),
    gradient: mapMasked(mask, (row, t) => weights[row]![t]! * slopes[row]![t]!),
    tokenLoss,
    clipFraction: sampled === 0 ? 0 : clipped / sampled,
  };
}

/** The loss of one token and its derivative by log π_θ. */
export function tokenPpoClip(
  logRatio: number,
  advantage: number,
  { clipLow, clipHigh, dualClip }: PpoClipOptions,
): { loss: number; slope: number } {
  const ratio = Math.exp(Math.min(MAX_LOG_RATIO, Math.max(-MAX_LOG_RATIO, logRatio)));
  const free = -advantage * ratio;
  const clipped = -advantage * Math.min(1 + clipHigh, Math.max(1 - clipLow, ratio));
  const loss = Math.max(free, clipped);
  if (advantage < 0 && dualClip !== undefined && loss > -dualClip * advantage)
    return { loss: -dualClip * advantage, slope: 0 };
  const moves = free >= clipped && Math.abs(logRatio) <= MAX_LOG_RATIO;
  return { loss, slope: moves ? -advantage * ratio : 0 };
}
