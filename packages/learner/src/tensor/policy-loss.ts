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
  /** What the hint counts, 0–1. Default 1. */
  readonly teacherWeight?: number;
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

/**
 * An objective that was evaluated elsewhere, in place of PPO-clip, as the backward pass sees it: Σ s (log π_θ − log π_scored), which is
 * 0 where it was scored and has the objective's gradient there. Both [positions] of the batch that they go with.
 */
export interface PolicyTerm {
  /** s = ∂L/∂log π_θ, denominators included; 0 where nothing counts. */
  readonly slopes: Float32Array;
  readonly logProbs: Float32Array;
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
  /** Absent when no row has a hint. */
  readonly lesson?: Lesson;
  dispose(): void;
}

/** What the policy says when it sees the hints. */
export interface Lesson {
  /** log π_old given the hint, of every token; meaningful where {@link weight} is above 0. [P, V] */
  readonly teacher: tf.Tensor2D;
  /**
   * What the hint counts at a response token of a hinted row: how much likelier the teacher was to come there than the policy, at
   * most 1; 0 elsewhere. What the teacher says after a token that it would not have chosen is no advice. [P]
   *
   *   h_t = u min(1, Π_{s<t} π_teacher(a_s) / π_old(a_s)),  u = `teacherWeight`
   */
  readonly weight: Float32Array;
  /** log π_teacher − log π_old of the sampled tokens of hinted rows; 0 elsewhere. [P] */
  readonly delta: Float32Array;
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
  const counted = new Float32Array(positions);
  const advantages = new Float32Array(positions);
  rows.forEach((row, index) => {
    for (const [t, at] of countedPositions(tokens.seq, index, row)) {
      counted[at] = 1;
      advantages[at] = row.advantages[t]!;
    }
  });
  const [old, referenceLogProbs] = tf.tidy(() => [
    sequenceLogProbs(parameters, config, tokens),
    tf.logSoftmax(sequenceLogits(reference, config, tokens)),
  ]) as [tf.Tensor1D, tf.Tensor2D];
  const oldLogProbs = (await old.data()) as Float32Array;
  old.dispose();
  const lesson = teach ? await prepareLesson(parameters, config, rows, tokens, oldLogProbs) : undefined;
  return {
    tokens,
    counted,
    advantages,
    oldLogProbs,
    reference: referenceLogProbs,
    ...(lesson !== undefined && { lesson }),
    dispose: () => tf.dispose([referenceLogProbs, ...(lesson === undefined ? [] : [lesson.teacher])]),
  };
}

/** What the teacher says at each position of the hinted rows; undefined when no row has a hint. */
async function prepareLesson(
  parameters: Parameters,
  config: TransformerConfig,
  rows: readonly PolicyLossRow[],
  tokens: TokenBatch,
  oldLogProbs: Float32Array,
): Promise<Lesson | undefined> {
  const hinted = rows.flatMap((row, index) =>
    row.teacherPromptIds === undefined ? [] : [{ row, index, taught: { ...row, promptIds: row.teacherPromptIds } }],
  );
  if (hinted.length === 0) return undefined;
  const teacherTokens = packRows(hinted.map(({ taught }) => taught));
  const teacherPosition = new Int32Array(tokens.batch * tokens.seq);
  hinted.forEach(({ row, index, taught }, place) => {
    for (const [t, at] of countedPositions(tokens.seq, index, row)) {
      teacherPosition[at] = responsePosition(teacherTokens.seq, place, taught.promptIds.length, t);
    }
  });
  const [teacher, sampled] = tf.tidy(() => {
    const all = tf.logSoftmax(sequenceLogits(parameters, config, teacherTokens)) as tf.Tensor2D;
    const aligned = tf.gather(all, tf.tensor1d(teacherPosition, "int32"));
    return [aligned, targetLogProbs(aligned, tf.tensor1d(tokens.targets, "int32"))];
  }) as [tf.Tensor2D, tf.Tensor1D];
  const teacherLogProbs = await sampled.data();
  sampled.dispose();
  const weight = new Float32Array(oldLogProbs.length);
  const delta = new Float32Array(oldLogProbs.length);
  for (const { row, index } of hinted) {
    let prefix = 0;
    for (const [, at] of countedPositions(tokens.seq, index, row)) {
      weight[at] = (row.teacherWeight ?? 1) * Math.exp(Math.min(0, prefix));
      delta[at] = teacherLogProbs[at]! - oldLogProbs[at]!;
      prefix += delta[at]!;
    }
  }
  return { teacher, weight, delta };
}

/**
 * PPO-clip (arXiv:1707.06347, Eq. 7) on the tokens that the policy sampled, hindsight distillation from the policy that sees the
 * hint, and KL to the reference. The last two are expectations over the vocabulary, not over the one token that was sampled: at
 * each state that the policy came to, their gradient has no sampling noise, and none is left once student and teacher agree.
 *
 *   L = (1/D) Σ_it m_it [ max(−Â_it ρ_it, −Â_it clip(ρ_it, 1 − ε_low, 1 + ε_high))
 *                         − w h_it Σ_v π_θ(v) Δ_it(v) + β KL(π_θ ‖ π_reference) ]
 *   ρ = exp(log π_θ − log π_old),  Δ(v) = clip(log π_teacher(v) − log π_θ(v), ±c) a constant,  h as in {@link Lesson}
 *
 * Tokens with mask 0 have weight 0 in every term: their gradient is exactly zero.
 *
 * @param term takes the place of PPO-clip.
 */
export function policyLoss(
  config: TransformerConfig,
  batch: PolicyBatch,
  options: PolicyLossOptions,
  term?: PolicyTerm,
): (parameters: Parameters) => tf.Scalar {
  const { klCoefficient, distillationWeight, distillationClip } = options;
  return (parameters) => {
    const counted = tf.tensor1d(batch.counted);
    const logits = sequenceLogits(parameters, config, batch.tokens);
    // log π_θ is zeroed where it does not count, so that exp() of a padded position stays finite.
    const logProbs = tf.mul(targetLogProbs(logits, tf.tensor1d(batch.tokens.targets, "int32")), counted);
    const surrogate = term === undefined ? ppoClip(logProbs, batch, options) : tf.zerosLike(logProbs);
    const costs = expectedCost(logits, {
      own: klCoefficient,
      reference: { logProbs: batch.reference, coefficient: klCoefficient },
      ...(batch.lesson !== undefined && {
        teacher: {
          logProbs: batch.lesson.teacher,
          weights: tf.tensor1d(batch.lesson.weight.map((weight) => weight * distillationWeight)),
          clip: distillationClip,
        },
      }),
    });
    const loss = tf.div(tf.sum(tf.mul(counted, tf.add(surrogate, costs))), options.denominator) as tf.Scalar;
    if (term === undefined) return loss;
    const moved = tf.sub(logProbs, tf.mul(tf.tensor1d(term.logProbs), counted));
    return tf.add(loss, tf.sum(tf.mul(tf.tensor1d(term.slopes), moved)));
  };
}

/** @param logProbs log π_θ, 0 where nothing counts. [P] @returns [P] */
function ppoClip(logProbs: tf.Tensor, batch: PolicyBatch, { clipLow, clipHigh }: PolicyLossOptions): tf.Tensor {
  const old = tf.mul(tf.tensor1d(batch.oldLogProbs), tf.tensor1d(batch.counted));
  const advantage = tf.tensor1d(batch.advantages);
  const ratio = tf.exp(tf.clipByValue(tf.sub(logProbs, old), -20, 20));
  const clipped = tf.clipByValue(ratio, 1 - clipLow, 1 + clipHigh);
  return tf.maximum(tf.neg(tf.mul(advantage, ratio)), tf.neg(tf.mul(advantage, clipped)));
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
      expectedCost(logits, { own: 1, reference: { logProbs: reference, coefficient: 1 } }),
      tf.neg(expectedCost(logits, { own: 1 })),
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

/** The response tokens of a row that count, each with its position in the packed batch. */
function countedPositions(
  seq: number,
  index: number,
  row: PolicyLossRow,
): readonly (readonly [t: number, at: number])[] {
  return row.ids.flatMap((_, t) =>
    row.mask[t] === 1 ? [[t, responsePosition(seq, index, row.promptIds.length, t)] as const] : [],
  );
}

/** Where in a packed batch the log-probability of response token t of a row stands: at the token before it. */
function responsePosition(seq: number, row: number, promptLength: number, t: number): number {
  return row * seq + promptLength + t - 1;
}
