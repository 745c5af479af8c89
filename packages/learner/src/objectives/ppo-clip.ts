import { AgentError } from "@afterstate/core";
import {
  importanceRatio,
  type ObjectiveBatch,
  type ObjectiveResult,
  sumTokenLosses,
  type TokenLoss,
} from "./token-loss.js";

/** Clip range of the importance ratio. */
export interface ClipRange {
  readonly clipLow: number;
  readonly clipHigh: number;
}

/** Numbers of {@link ppoClip}. */
export interface PpoClipOptions extends ClipRange {
  /** c > 1: the loss of a token with Â < 0 is at most −c Â. Absent: no dual clip. */
  readonly dualClip?: number;
}

/** The PPO loss of a batch, and what each token contributes. */
export interface PpoClipResult extends ObjectiveResult {
  /** Share of sampled tokens on whose loss a clip acts. */
  readonly clipFraction: number;
}

/**
 * The clipped surrogate objective, of PPO, GRPO, Dr. GRPO and DAPO alike: they differ in advantages, clip range and weights.
 *
 *   ρ_t = exp(log π_θ − log π_old)                                  PPO, arXiv:1707.06347, Eq. 6–7
 *   L_t = max(−Â_t ρ_t, −Â_t clip(ρ_t, 1 − ε_low, 1 + ε_high))
 *   Â_t < 0: L_t = min(L_t, −c Â_t)                                 dual clip, arXiv:1912.09729, Eq. 5
 *   ∂L_t/∂log π_θ = −Â_t ρ_t where no clip acts, else 0
 *
 * @throws AgentError `tensor/shape`, `objective/bad-option`.
 */
export function ppoClip(batch: ObjectiveBatch, options: PpoClipOptions): PpoClipResult {
  const { newLogProbs, oldLogProbs, advantages } = batch;
  if (options.dualClip !== undefined && !(options.dualClip > 1))
    throw new AgentError("objective/bad-option", `dualClip is greater than 1, not ${options.dualClip}`);
  let sampled = 0;
  let clipped = 0;
  const result = sumTokenLosses(batch, (row, t) => {
    const advantage = advantages[row]![t]!;
    const token = tokenPpoClip(newLogProbs[row]![t]! - oldLogProbs[row]![t]!, advantage, options);
    sampled++;
    if (token.slope === 0 && advantage !== 0) clipped++;
    return token;
  });
  return { ...result, clipFraction: sampled === 0 ? 0 : clipped / sampled };
}

/** The loss of one token and its derivative by log π_θ. */
export function tokenPpoClip(
  logRatio: number,
  advantage: number,
  { clipLow, clipHigh, dualClip }: PpoClipOptions,
): TokenLoss {
  const { ratio, slope } = importanceRatio(logRatio);
  const free = -advantage * ratio;
  const clipped = -advantage * Math.min(1 + clipHigh, Math.max(1 - clipLow, ratio));
  const loss = Math.max(free, clipped);
  if (advantage < 0 && dualClip !== undefined && loss > -dualClip * advantage)
    return { loss: -dualClip * advantage, slope: 0 };
  return { loss, slope: free >= clipped ? -advantage * slope : 0 };
}
