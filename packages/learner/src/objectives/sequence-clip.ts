import { AgentError } from "@afterstate/core";
import { type ClipRange, tokenPpoClip } from "./ppo-clip.js";
import { assertSameShape, type LossAndGradient, mapMasked } from "./ragged.js";
import { sequenceLogRatios } from "./sequence-ratio.js";
import { type ObjectiveBatch, type ObjectiveResult, sumTokenLosses } from "./token-loss.js";

/** Which ratio of a row is clipped: GSPO's geometric mean by token, or the product of all tokens (RLOO as in TRL). */
export type SequenceRatio = "geometric-mean" | "product";

/** GSPO's clip range as published. */
export const GSPO_CLIP: ClipRange = { clipLow: 3e-4, clipHigh: 4e-4 };

/** A clipped objective of whole rows. */
export interface SequenceClipResult extends LossAndGradient {
  /** s_i. [row] */
  readonly sequenceRatios: readonly number[];
}

/**
 * Group sequence policy optimization: one ratio and one clip for a row.
 *
 *   s_i = exp((1/n_i) Σ_t m_it (log π_θ − log π_old))               GSPO, arXiv:2507.18071; product: without 1/n_i
 *   L = Σ_i W_i max(−Â_i s_i, −Â_i clip(s_i, 1 − ε_low, 1 + ε_high)),  W_i = Σ_t w_it
 *   ∂L/∂log π_θ,it = −W_i Â_i s_i / n_i where no clip acts, else 0
 *
 * n_i counts sampled tokens alone. Geometric means stay within some 1e-3 of 1, so GSPO's clip range is that small, never PPO's.
 * With rows that are steps this is StepPO's policy loss (arXiv:2604.18401). GSPO takes the weights of "seq-mean-token-mean".
 *
 * @param advantages Â_i. [row]
 * @throws AgentError `tensor/shape`.
 */
export function sequenceClip(
  batch: Omit<ObjectiveBatch, "advantages" | "importanceWeights"> & { readonly advantages: readonly number[] },
  options: ClipRange & { readonly ratio: SequenceRatio } = { ...GSPO_CLIP, ratio: "geometric-mean" },
): SequenceClipResult {
  const { newLogProbs, oldLogProbs, advantages, mask, weights } = batch;
  assertSameShape(mask, { newLogProbs, oldLogProbs, weights });
  if (advantages.length !== mask.length)
    throw new AgentError("tensor/shape", `${advantages.length} advantages do not go with ${mask.length} rows`);
  let loss = 0;
  const sequenceRatios: number[] = [];
  const slopes = sequenceLogRatios(newLogProbs, oldLogProbs, mask).map(({ sum, mean, count }, row) => {
    const [logRatio, share] = options.ratio === "product" ? [sum, 1] : [mean, 1 / count];
    sequenceRatios.push(Math.exp(logRatio));
    if (count === 0) return 0;
    const weight = weights[row]!.reduce((total, w, t) => (mask[row]![t] ? total + w : total), 0);
    const sequence = tokenPpoClip(logRatio, advantages[row]!, options);
    loss += weight * sequence.loss;
    return weight * sequence.slope * share;
  });
  return { loss, gradient: mapMasked(mask, (row) => slopes[row]!), sequenceRatios };
}

/**
 * GSPO with an advantage of its own for each token.
 *
 *   s_it = sg[s_i] π_θ,it / sg[π_θ,it]                              GSPO-token, arXiv:2507.18071
 *   L_it = max(−Â_it s_it, −Â_it clip(s_it, 1 − ε_low, 1 + ε_high))
 *   ∂L_it/∂log π_θ,it = −Â_it s_i where no clip acts, else 0
 *
 * The value of s_it is s_i: the row's ratio decides the clip, the token's advantage its side. With one Â in a row and weights of
 * "seq-mean-token-mean" loss and gradient are those of {@link sequenceClip}.
 *
 * @throws AgentError `tensor/shape`.
 */
export function gspoToken(
  batch: ObjectiveBatch,
  options: ClipRange = GSPO_CLIP,
): ObjectiveResult & Pick<SequenceClipResult, "sequenceRatios"> {
  const { newLogProbs, oldLogProbs, advantages, mask } = batch;
  assertSameShape(mask, { ...batch });
  const logRatios = sequenceLogRatios(newLogProbs, oldLogProbs, mask).map(({ mean }) => mean);
  const result = sumTokenLosses(batch, (row, t) => tokenPpoClip(logRatios[row]!, advantages[row]![t]!, options));
  return { ...result, sequenceRatios: logRatios.map(Math.exp) };
}
