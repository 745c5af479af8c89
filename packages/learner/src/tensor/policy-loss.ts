import * as tf from "@tensorflow/tfjs";
import { packTokens, sequenceLogits, sequenceLogProbs, type TokenBatch } from "./sequence-log-probs.js";
import type { Parameters, TransformerConfig } from "./transformer.js";

/** One step under optimisation: what was sampled, with all that is constant in the update. Arrays run over its response. [tokens] */
export interface PolicyLossRow {
  readonly promptIds: readonly number[];
  readonly ids: readonly number[];
  readonly mask: readonly number[];
  /** At which the ids were sampled; log-probabilities are those at this temperature. */
  readonly temperature: number;
  readonly advantages: readonly number[];
  readonly oldLogProbs: readonly number[];
  readonly referenceLogProbs: readonly number[];
}

/** Numbers of {@link policyLoss}. */
export interface PolicyLossOptions {
  readonly clipLow: number;
  readonly clipHigh: number;
  readonly klCoefficient: number;
  /** The loss is a sum over tokens divided by it. */
  readonly denominator: number;
}

/**
 * PPO-clip (arXiv:1707.06347, Eq. 7) on the tokens that the policy sampled, with KL to the reference by k3.
 *
 *   L = (1/D) Σ_it m_it [ max(−Â_it ρ_it, −Â_it clip(ρ_it, 1 − ε_low, 1 + ε_high)) + β (e^{−d} + d − 1) ]
 *   ρ = exp(log π_θ − log π_old),  d = log π_θ − log π_reference
 *
 * Tokens with mask 0 have weight 0 in every term: their gradient is exactly zero.
 */
export function policyLoss(
  config: TransformerConfig,
  rows: readonly PolicyLossRow[],
  options: PolicyLossOptions,
): (parameters: Parameters) => tf.Scalar {
  const batch = packRows(rows);
  const positions = batch.batch * batch.seq;
  const constants = {
    weight: new Float32Array(positions),
    advantage: new Float32Array(positions),
    old: new Float32Array(positions),
    reference: new Float32Array(positions),
  };
  rows.forEach((row, index) => {
    row.ids.forEach((_, t) => {
      if (row.mask[t] !== 1) return;
      const at = responsePosition(batch.seq, index, row.promptIds.length, t);
      constants.weight[at] = 1 / options.denominator;
      constants.advantage[at] = row.advantages[t]!;
      constants.old[at] = row.oldLogProbs[t]!;
      constants.reference[at] = row.referenceLogProbs[t]!;
    });
  });
  return (parameters) => {
    const weight = tf.tensor1d(constants.weight);
    const counted = tf.tensor1d(constants.weight.map((w) => (w === 0 ? 0 : 1)));
    // log π_θ is zeroed where it does not count, so that exp() of a padded position stays finite.
    const logProbs = tf.mul(sequenceLogProbs(parameters, config, batch), counted);
    const advantage = tf.tensor1d(constants.advantage);
    const ratio = tf.exp(tf.clipByValue(tf.sub(logProbs, tf.tensor1d(constants.old)), -20, 20));
    const clipped = tf.clipByValue(ratio, 1 - options.clipLow, 1 + options.clipHigh);
    const surrogate = tf.maximum(tf.neg(tf.mul(advantage, ratio)), tf.neg(tf.mul(advantage, clipped)));
    if (options.klCoefficient === 0) return tf.sum(tf.mul(weight, surrogate));
    const d = tf.clipByValue(tf.sub(logProbs, tf.tensor1d(constants.reference)), -20, 20);
    const kl = tf.sub(tf.add(tf.exp(tf.neg(d)), d), 1);
    return tf.sum(tf.mul(weight, tf.add(surrogate, tf.mul(kl, options.klCoefficient))));
  };
}

/** log π of every response token given its prompt, without gradient. One array a row. */
export async function responseLogProbs(
  parameters: Parameters,
  config: TransformerConfig,
  rows: readonly Pick<PolicyLossRow, "promptIds" | "ids" | "temperature">[],
): Promise<readonly (readonly number[])[]> {
  const batch = packRows(rows);
  const logProbs = tf.tidy(() => sequenceLogProbs(parameters, config, batch));
  const data = await logProbs.data();
  logProbs.dispose();
  return rows.map(({ promptIds, ids }, row) =>
    ids.map((_, t) => data[responsePosition(batch.seq, row, promptIds.length, t)]!),
  );
}

/** What a policy is like where it sampled a response: one array a row, one number a token. In nats. */
export interface ResponseStatistics {
  /** KL(π ‖ π_reference) over the whole vocabulary. */
  readonly kl: readonly (readonly number[])[];
  /** Entropy of π. */
  readonly entropy: readonly (readonly number[])[];
}

/** Exact divergence from the reference and entropy at every response token, without gradient. */
export async function responseStatistics(
  parameters: Parameters,
  reference: Parameters,
  config: TransformerConfig,
  rows: readonly Pick<PolicyLossRow, "promptIds" | "ids" | "temperature">[],
): Promise<ResponseStatistics> {
  const batch = packRows(rows);
  const [kl, entropy] = tf.tidy(() => {
    const logProbs = tf.logSoftmax(sequenceLogits(parameters, config, batch));
    const referenceLogProbs = tf.logSoftmax(sequenceLogits(reference, config, batch));
    const probabilities = tf.exp(logProbs);
    return [
      tf.sum(tf.mul(probabilities, tf.sub(logProbs, referenceLogProbs)), -1),
      tf.neg(tf.sum(tf.mul(probabilities, logProbs), -1)),
    ];
  }) as [tf.Tensor, tf.Tensor];
  const perRow = async (tensor: tf.Tensor) => {
    const data = await tensor.data();
    tensor.dispose();
    return rows.map(({ promptIds, ids }, row) =>
      ids.map((_, t) => data[responsePosition(batch.seq, row, promptIds.length, t)]!),
    );
  };
  return { kl: await perRow(kl), entropy: await perRow(entropy) };
}

function packRows(rows: readonly Pick<PolicyLossRow, "promptIds" | "ids" | "temperature">[]): TokenBatch {
  return packTokens(
    rows.map(({ promptIds, ids }) => [...promptIds, ...ids]),
    rows.map(({ temperature }) => temperature),
  );
}

/** Where in a packed batch the log-probability of response token t of a row stands: at the token before it. */
function responsePosition(seq: number, row: number, promptLength: number, t: number): number {
  return row * seq + promptLength + t - 1;
}
