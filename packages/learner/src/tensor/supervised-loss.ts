import * as tf from "@tensorflow/tfjs";
import { packTokens, sequenceLogProbs } from "./sequence-log-probs.js";
import type { Parameters, TransformerConfig } from "./transformer.js";

/** A token sequence and which of its tokens count. Same length. [tokens] */
export interface MaskedSequence {
  readonly ids: readonly number[];
  readonly mask: readonly number[];
}

/**
 * Cross-entropy of the masked tokens.
 *
 *   L = −(1/D) Σ_i Σ_t m_it log π(a_it | what came before)
 *
 * D is an explicit constant: dividing by the batch's own token count would weigh short batches more.
 */
export function supervisedLoss(
  config: TransformerConfig,
  sequences: readonly MaskedSequence[],
  denominator: number,
): (parameters: Parameters) => tf.Scalar {
  const batch = packTokens(sequences.map(({ ids }) => ids));
  const weights = new Float32Array(batch.batch * batch.seq);
  sequences.forEach(({ mask }, row) => {
    for (let t = 1; t < mask.length; t++) weights[row * batch.seq + t - 1] = mask[t]! / denominator;
  });
  return (parameters) => tf.neg(tf.sum(tf.mul(sequenceLogProbs(parameters, config, batch), tf.tensor1d(weights))));
}
