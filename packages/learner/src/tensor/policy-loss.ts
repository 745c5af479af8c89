import * as tf from "@tensorflow/tfjs";
import { expectedCost, targetLogProbs } from "./ops.js";
import { packTokens, sequenceLogits, sequenceLogProbs, type TokenBatch } from "./sequence-log-probs.js";
import type { Parameters, TransformerConfig } from "./transformer.js";

/** One step under optimisation: what was sampled, with its credit. Arrays run over its response. [tokens] */
export interface PolicyLossRow {
  readonly promptIds: readonly number[];
  readonly ids: readonly number[];
  readonly mask: readonly number[];
  /** At which the ids were sampled; log-probabilities are those at this temperature. */
  readonly temperature: number;
  readonly advantages: readonly number[];
  /** The prompt with the hint in it; absent when there is none. */
  readonly teacherPromptIds?: readonly number[];
}

/** Numbers of {@link policyLoss}. */
export interface PolicyLossOptions {
  readonly clipLow: number;
  readonly clipHigh: number;
  readonly klCoefficient: number;
  readonly distillationWeight: number;
  readonly distillationClip: number;
  /** The loss is a sum over tokens divided by it. */
  readonly denominator: number;
}

/** Rows with all that is constant in an update, on the tensor backend. P = rows · width positions, V = vocabulary. */
export interface PolicyBatch {
  readonly tokens: TokenBatch;
  /** 1 at a response token that counts. [P] */
  readonly counted: Float32Array;
  /** Â, 0 where nothing counts. [P] */
  readonly advantages: Float32Array;
  /** log π_old of the sampled tokens, in nats. [P] */
  readonly oldLogProbs: Float32Array;
  /** log π_reference of every token. [P, V] */
  readonly reference: tf.Tensor2D;
  /** log π_old given the hint, of every token; 0 where {@link taught} is 0. [P, V] */
  readonly teacher?: tf.Tensor2D;
  /** 1 at a response token of a hinted row. [P] */
  readonly taught: Float32Array;
  /** log π_teacher − log π_old of the sampled tokens, meaningful where {@link taught} is 1. [P] */
  readonly teacherDeltas: Float32Array;
  dispose(): void;
}

/** Makes a batch: old, reference and teacher log-probabilities, without gradient. The teacher is the policy itself, seeing the hint. */
export async function preparePolicyBatch(
  parameters: Parameters,
  reference: Parameters,
  config: TransformerConfig,
  rows: readonly PolicyLossRow[],
  { teach }: { readonly teach: boolean },
): Promise<PolicyBatch> {
  const tokens = packRows(rows);
  const positions = tokens.batch * tokens.seq;
  const [counted, advantages, taught] = [0, 0, 0].map(() => new Float32Array(positions)) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const targets = () => tf.tensor1d(tokens.targets, "int32");
  const hinted = teach
    ? rows.flatMap(({ teacherPromptIds }, row) => (teacherPromptIds ? [{ teacherPromptIds, row }] : []))
    : [];
  rows.forEach((row, index) => {
    row.ids.forEach((_, t) => {
      if (row.mask[t] !== 1) return;
      const at = responsePosition(tokens.seq, index, row.promptIds.length, t);
      counted[at] = 1;
      advantages[at] = row.advantages[t]!;
    });
  });
  const [old, referenceLogProbs] = tf.tidy(() => [
    sequenceLogProbs(parameters, config, tokens),
    tf.logSoftmax(sequenceLogits(reference, config, tokens)),
  ]) as [tf.Tensor1D, tf.Tensor2D];
  const oldLogProbs = (await old.data()) as Float32Array;
  old.dispose();
  if (hinted.length === 0) {
    const teacherDeltas = new Float32Array(positions);
    const dispose = () => referenceLogProbs.dispose();
    return { tokens, counted, advantages, oldLogProbs, reference: referenceLogProbs, taught, teacherDeltas, dispose };
  }
  const teacherTokens = packRows(
    hinted.map(({ teacherPromptIds, row }) => ({ ...rows[row]!, promptIds: teacherPromptIds })),
  );
  const teacherPosition = new Int32Array(positions);
  hinted.forEach(({ teacherPromptIds, row }, index) => {
    const { ids, mask, promptIds } = rows[row]!;
    ids.forEach((_, t) => {
      if (mask[t] !== 1) return;
      const at = responsePosition(tokens.seq, row, promptIds.length, t);
      taught[at] = 1;
      teacherPosition[at] = responsePosition(teacherTokens.seq, index, teacherPromptIds.length, t);
    });
  });
  const [teacher, sampled] = tf.tidy(() => {
    const all = tf.logSoftmax(sequenceLogits(parameters, config, teacherTokens));
    const aligned = tf.mul(
      tf.gather(all, tf.tensor1d(teacherPosition, "int32")),
      tf.expandDims(tf.tensor1d(taught), -1),
    );
    return [aligned, targetLogProbs(aligned as tf.Tensor2D, targets())];
  }) as [tf.Tensor2D, tf.Tensor1D];
  const teacherDeltas = ((await sampled.data()) as Float32Array).map((logProb, at) => logProb - oldLogProbs[at]!);
  sampled.dispose();
  const dispose = () => tf.dispose([referenceLogProbs, teacher]);
  return {
    tokens,
    counted,
    advantages,
    oldLogProbs,
    reference: referenceLogProbs,
    teacher,
    taught,
    teacherDeltas,
    dispose,
  };
}

/**
 * PPO-clip (arXiv:1707.06347, Eq. 7) on the tokens that the policy sampled, hindsight distillation from the policy that sees the
 * hint, and KL to the reference. The last two are expectations over the vocabulary, not over the one token that was sampled: at
 * each state that the policy came to, their gradient has no sampling noise, and none is left once student and teacher agree.
 *
 *   L = (1/D) Σ_it m_it [ max(−Â_it ρ_it, −Â_it clip(ρ_it, 1 − ε_low, 1 + ε_high))
 *                         − w h_i Σ_v π_θ(v) Δ_it(v) + β KL(π_θ ‖ π_reference) ]
 *   ρ = exp(log π_θ − log π_old),  Δ(v) = clip(log π_teacher(v) − log π_θ(v), ±c) a constant,  h_i = 1 for hinted rows
 *
 * Tokens with mask 0 have weight 0 in every term: their gradient is exactly zero.
 */
export function policyLoss(
  config: TransformerConfig,
  batch: PolicyBatch,
  options: PolicyLossOptions,
): (parameters: Parameters) => tf.Scalar {
  const { klCoefficient, distillationWeight, distillationClip } = options;
  return (parameters) => {
    const counted = tf.tensor1d(batch.counted);
    const logits = sequenceLogits(parameters, config, batch.tokens);
    // log π_θ is zeroed where it does not count, so that exp() of a padded position stays finite.
    const logProbs = tf.mul(targetLogProbs(logits, tf.tensor1d(batch.tokens.targets, "int32")), counted);
    const old = tf.mul(tf.tensor1d(batch.oldLogProbs), counted);
    const advantage = tf.tensor1d(batch.advantages);
    const ratio = tf.exp(tf.clipByValue(tf.sub(logProbs, old), -20, 20));
    const clipped = tf.clipByValue(ratio, 1 - options.clipLow, 1 + options.clipHigh);
    const surrogate = tf.maximum(tf.neg(tf.mul(advantage, ratio)), tf.neg(tf.mul(advantage, clipped)));
    const costs = expectedCost(logits, (logProbs) => {
      const kl = tf.mul(tf.sub(logProbs, batch.reference), klCoefficient) as tf.Tensor2D;
      if (batch.teacher === undefined || distillationWeight === 0) return kl;
      const delta = tf.clipByValue(tf.sub(batch.teacher, logProbs), -distillationClip, distillationClip);
      const taught = tf.expandDims(tf.mul(tf.tensor1d(batch.taught), distillationWeight), -1);
      return tf.sub(kl, tf.mul(delta, taught)) as tf.Tensor2D;
    });
    return tf.div(tf.sum(tf.mul(counted, tf.add(surrogate, costs))), options.denominator);
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

/** What a policy is like at the positions of a batch. In nats, meaningful where a token counts. [P] */
export interface BatchStatistics {
  /** Of the sampled tokens. */
  readonly logProbs: Float32Array;
  /** KL(π ‖ π_reference) over the vocabulary. */
  readonly kl: Float32Array;
  /** Entropy of π. */
  readonly entropy: Float32Array;
}

/** Log-probabilities, exact divergence from the reference and entropy at every position, without gradient. */
export async function batchStatistics(
  parameters: Parameters,
  config: TransformerConfig,
  { tokens, reference }: PolicyBatch,
): Promise<BatchStatistics> {
  const tensors = tf.tidy(() => {
    const logits = sequenceLogits(parameters, config, tokens);
    return [
      targetLogProbs(logits, tf.tensor1d(tokens.targets, "int32")),
      expectedCost(logits, (logProbs) => tf.sub(logProbs, reference)),
      tf.neg(expectedCost(logits, (logProbs) => logProbs)),
    ];
  });
  const [logProbs, kl, entropy] = (await Promise.all(tensors.map((tensor) => tensor.data()))) as Float32Array[];
  tf.dispose(tensors);
  return { logProbs: logProbs!, kl: kl!, entropy: entropy! };
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
