import type { ClipRange } from "./ppo-clip.js";
import { importanceRatio, type ObjectiveBatch, type ObjectiveResult, sumTokenLosses } from "./token-loss.js";

/**
 * Clipped importance-sampling policy optimization: the weight is clipped, the gradient is not lost.
 *
 *   L_t = −sg[clip(ρ_t, 1 − ε_low, 1 + ε_high)] Â_t log π_θ         CISPO of MiniMax-M1, arXiv:2506.13585
 *   ∂L_t/∂log π_θ = −clip(ρ_t, …) Â_t
 *
 * Bounds are distances from 1: ε_low = 1 leaves the lower one off, as the paper does, and ε_high = 4 caps the weight at 5. The value of
 * the loss depends on how likely tokens are; only its gradient means anything.
 *
 * @returns with `clippedRatios`. [row][token]
 * @throws AgentError `tensor/shape`.
 */
export function cispo(
  batch: ObjectiveBatch,
  { clipLow, clipHigh }: ClipRange,
): ObjectiveResult & { readonly clippedRatios: readonly (readonly number[])[] } {
  const { newLogProbs, oldLogProbs, advantages, mask } = batch;
  const clippedRatios = mask.map((tokens) => tokens.map(() => 0));
  const result = sumTokenLosses(batch, (row, t) => {
    const newLogProb = newLogProbs[row]![t]!;
    const { ratio } = importanceRatio(newLogProb - oldLogProbs[row]![t]!);
    const clipped = Math.min(1 + clipHigh, Math.max(1 - clipLow, ratio));
    clippedRatios[row]![t] = clipped;
    const slope = -clipped * advantages[row]![t]!;
    return { loss: slope * newLogProb, slope };
  });
  return { ...result, clippedRatios };
}
