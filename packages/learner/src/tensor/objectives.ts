import * as tf from "@tensorflow/tfjs";
import type { KlEstimator } from "../objectives/kl.js";
import type { ClipRange, PpoClipOptions } from "../objectives/ppo-clip.js";
import type { PreferenceOptions, PreferencePairs, PreferenceResult, PreferenceSide } from "../objectives/preference.js";
import type { LossAndGradient, Ragged } from "../objectives/ragged.js";
import type { RlPlusOptions } from "../objectives/rl-plus.js";
import type { SapoOptions } from "../objectives/sapo.js";
import type { SequenceRatio } from "../objectives/sequence-clip.js";
import type { ObjectiveBatch, ObjectiveResult } from "../objectives/token-loss.js";

/*
 * The objectives a second time, as forward formulas in float32 tensor operations, with gradients by automatic differentiation. Nothing
 * trains on them: training takes the gradients of objectives/, and these prove that those are the gradients of their formulas, on any
 * backend. Equations stand in objectives/.
 */

type Matrix = tf.Tensor2D;

/** [rows, width]: 0 where the mask is 0, whatever stands there, and beyond a row's end. */
function padded(numbers: Ragged, mask: Ragged): Matrix {
  const width = Math.max(1, ...mask.map(({ length }) => length));
  const rows = mask.map((tokens, row) =>
    Array.from({ length: width }, (_, t) => (tokens[t] ? (numbers[row]![t] ?? 0) : 0)),
  );
  return tf.tensor2d(rows, [mask.length, width]);
}

/** One number a row, [rows, 1]. */
const column = (numbers: readonly number[]): Matrix => tf.tensor2d([...numbers], [numbers.length, 1]);

const ratioOf = (logRatio: tf.Tensor): Matrix => tf.exp(tf.clipByValue(logRatio, -20, 20)) as Matrix;

function ppo(ratio: Matrix, advantage: Matrix, { clipLow, clipHigh, dualClip }: PpoClipOptions): Matrix {
  const gain = tf.neg(advantage);
  const loss = tf.maximum(tf.mul(gain, ratio), tf.mul(gain, tf.clipByValue(ratio, 1 - clipLow, 1 + clipHigh)));
  if (dualClip === undefined) return loss as Matrix;
  const most = tf.where(tf.less(advantage, 0), tf.mul(gain, dualClip), tf.fill(advantage.shape, 1e30));
  return tf.minimum(loss, most) as Matrix;
}

/**
 * Loss, gradient by `inputs`, and the losses of tokens.
 * @param forward makes the losses of tokens, or of rows [rows, 1], of the inputs; all that it makes otherwise is constant to the gradient.
 */
async function differentiate(
  batch: { readonly mask: Ragged; readonly inputs: Ragged; readonly weights: Ragged },
  forward: (inputs: Matrix) => Matrix,
): Promise<ObjectiveResult> {
  const { mask } = batch;
  const tensors = tf.tidy(() => {
    const weights = padded(batch.weights, mask);
    const inputs = padded(batch.inputs, mask);
    const sampled = padded(mask, mask);
    const losses = (x: tf.Tensor) => forward(tf.mul(x, sampled) as Matrix);
    const { value, grad } = tf.valueAndGrad((x) => tf.sum(tf.mul(weights, losses(x))) as tf.Scalar)(inputs);
    return [value, grad, tf.mul(losses(inputs), sampled)];
  });
  const [loss, gradient, tokenLoss] = await Promise.all(tensors.map((tensor) => tensor.array()));
  tf.dispose(tensors);
  const trimmed = (rows: unknown) => mask.map((tokens, i) => tokens.map((_, t) => (rows as number[][])[i]![t]!));
  return { loss: loss as number, gradient: trimmed(gradient), tokenLoss: trimmed(tokenLoss) };
}

/** An objective of tokens: `token` makes their losses of log π_θ, ρ and Â, and of sg[log π_θ] and sg[ρ]. */
function ofTokens(
  batch: ObjectiveBatch,
  token: (of: Readonly<Record<"logProb" | "ratio" | "advantage" | "fixedLogProb" | "fixedRatio", Matrix>>) => Matrix,
): Promise<ObjectiveResult> {
  const { newLogProbs, oldLogProbs, advantages, mask, weights, importanceWeights } = batch;
  return differentiate({ mask, weights, inputs: newLogProbs }, (logProb) => {
    const [fixedLogProb, old] = [padded(newLogProbs, mask), padded(oldLogProbs, mask)];
    const [ratio, fixedRatio] = [ratioOf(tf.sub(logProb, old)), ratioOf(tf.sub(fixedLogProb, old))];
    const loss = token({ logProb, ratio, advantage: padded(advantages, mask), fixedLogProb, fixedRatio });
    return (importanceWeights === undefined ? loss : tf.mul(loss, padded(importanceWeights, mask))) as Matrix;
  });
}

/** log of each row's ratio: the sum over its tokens, or their mean. [rows, 1] */
function rowLogRatio(logProb: Matrix, oldLogProbs: Ragged, mask: Ragged, ratio: SequenceRatio): Matrix {
  const sum = tf.sum(tf.sub(logProb, padded(oldLogProbs, mask)), 1, true);
  const counts = mask.map((tokens) => Math.max(1, tokens.filter(Boolean).length));
  return (ratio === "product" ? sum : tf.div(sum, column(counts))) as Matrix;
}

/** Differential twins of the functions of the same names in objectives/, with the same arguments. The backend must be open. */
export const tensorObjectives = {
  reinforce: (batch: Omit<ObjectiveBatch, "oldLogProbs">) =>
    ofTokens({ ...batch, oldLogProbs: batch.newLogProbs }, ({ logProb, advantage }) =>
      tf.neg(tf.mul(advantage, logProb)),
    ),

  importanceSampling: (batch: ObjectiveBatch) =>
    ofTokens(batch, ({ ratio, advantage }) => tf.neg(tf.mul(advantage, ratio))),

  ppoClip: (batch: ObjectiveBatch, options: PpoClipOptions) =>
    ofTokens(batch, ({ ratio, advantage }) => ppo(ratio, advantage, options)),

  sapo: (batch: ObjectiveBatch, { tauPositive, tauNegative }: SapoOptions) =>
    ofTokens(batch, ({ ratio, advantage }) => {
      const positive = tf.cast(tf.greater(advantage, 0), "float32");
      const tau = tf.add(tf.mul(positive, tauPositive - tauNegative), tauNegative);
      const gate = tf.sigmoid(tf.mul(tau, tf.sub(ratio, 1)));
      return tf.neg(tf.mul(advantage, tf.div(tf.mul(gate, 4), tau))) as Matrix;
    }),

  cispo: (batch: ObjectiveBatch, { clipLow, clipHigh }: ClipRange) =>
    ofTokens(batch, ({ logProb, advantage, fixedRatio }) => {
      const clipped = tf.clipByValue(fixedRatio, 1 - clipLow, 1 + clipHigh);
      return tf.neg(tf.mul(tf.mul(clipped, advantage), logProb)) as Matrix;
    }),

  rlPlus: (batch: ObjectiveBatch & { readonly external: readonly boolean[] }, options: RlPlusOptions) =>
    ofTokens(batch, ({ logProb, ratio, advantage, fixedLogProb }) => {
      const own = options.clip === undefined ? tf.neg(tf.mul(advantage, ratio)) : ppo(ratio, advantage, options.clip);
      const probability = tf.exp(logProb);
      const old = tf.exp(padded(batch.oldLogProbs, batch.mask));
      const mixture = tf.div(tf.mul(probability, 2), tf.add(tf.mul(old, 1.5), 0.5 * options.uniformProbability));
      const unlikely = tf.maximum(tf.sub(1, tf.exp(fixedLogProb)), 0);
      const exploration = tf.pow(unlikely, options.explorationGamma);
      const shown = tf.neg(tf.mul(tf.mul(advantage, mixture), exploration));
      const external = column(batch.external.map(Number));
      return tf.add(tf.mul(shown, external), tf.mul(own, tf.sub(1, external))) as Matrix;
    }),

  gspoToken: ({ advantages, oldLogProbs, newLogProbs, mask, weights }: ObjectiveBatch, options: ClipRange) =>
    differentiate({ mask, weights, inputs: newLogProbs }, (logProb) => {
      const fixed = padded(newLogProbs, mask);
      const sequence = ratioOf(rowLogRatio(fixed, oldLogProbs, mask, "geometric-mean"));
      const ratio = tf.mul(sequence, tf.exp(tf.sub(logProb, fixed))) as Matrix;
      return ppo(ratio, padded(advantages, mask), options);
    }),

  sequenceClip: (
    batch: Omit<ObjectiveBatch, "advantages"> & { readonly advantages: readonly number[] },
    options: ClipRange & { readonly ratio: SequenceRatio },
  ) => {
    const { newLogProbs, oldLogProbs, mask, weights } = batch;
    return differentiate({ mask, weights, inputs: newLogProbs }, (logProb) => {
      const ratio = ratioOf(rowLogRatio(logProb, oldLogProbs, mask, options.ratio));
      return ppo(ratio, column(batch.advantages), options);
    });
  },

  klLoss: (
    estimator: KlEstimator,
    batch: Pick<ObjectiveBatch, "newLogProbs" | "mask" | "weights"> & { readonly referenceLogProbs: Ragged },
  ) => {
    const { newLogProbs, referenceLogProbs, mask, weights } = batch;
    return differentiate({ mask, weights, inputs: newLogProbs }, (logProb) => {
      const reference = padded(referenceLogProbs, mask);
      return kl(estimator, tf.sub(logProb, reference), tf.sub(padded(newLogProbs, mask), reference));
    });
  },

  valueLoss: (
    batch: Readonly<Record<"values" | "oldValues" | "returns" | "mask" | "weights", Ragged>>,
    { valueClip }: { readonly valueClip: number },
  ): Promise<LossAndGradient> => {
    const { values, oldValues, returns, mask, weights } = batch;
    return differentiate({ mask, weights, inputs: values }, (value) => {
      const [old, target] = [padded(oldValues, mask), padded(returns, mask)];
      const clipped = tf.add(old, tf.clipByValue(tf.sub(value, old), -valueClip, valueClip));
      const worst = tf.maximum(tf.square(tf.sub(value, target)), tf.square(tf.sub(clipped, target)));
      return tf.div(worst, 2) as Matrix;
    });
  },

  dpo: (pairs: PreferencePairs, options: PreferenceOptions & { readonly labelSmoothing?: number }) =>
    preference(pairs, options, "product", (difference) => {
      const [h, smoothing] = [tf.mul(difference, options.beta), options.labelSmoothing ?? 0];
      return tf.add(tf.mul(softplus(tf.neg(h)), 1 - smoothing), tf.mul(softplus(h), smoothing)) as Matrix;
    }),

  ipo: (pairs: PreferencePairs, options: PreferenceOptions) =>
    preference(
      pairs,
      options,
      "geometric-mean",
      (difference) => tf.square(tf.sub(difference, 1 / (2 * options.beta))) as Matrix,
    ),

  topKDistillation: async (batch: {
    readonly studentLogProbs: Ragged;
    readonly teacherLogProbs: Ragged;
    readonly mask: readonly number[];
    readonly weights: readonly number[];
  }): Promise<LossAndGradient> => {
    const [student, teacher] = [batch.studentLogProbs, batch.teacherLogProbs];
    const mask = batch.mask.map((sampled, t) => student[t]!.map(() => sampled));
    // Each token's loss stands once, in the first of its K places.
    const weights = mask.map((places, t) => places.map((_, k) => (k === 0 ? batch.weights[t]! : 0)));
    return differentiate({ mask, weights, inputs: student }, (logProbs) => {
      const known = padded(teacher, mask);
      const tail = (x: Matrix) => tf.log(tf.maximum(tf.sub(1, tf.sum(tf.exp(x), 1, true)), 1e-7));
      const tailKl = tf.mul(tf.exp(tail(logProbs)), tf.sub(tail(logProbs), tail(known)));
      const kept = column(batch.mask);
      const finite = tf.where(tf.greater(kept, 0), tailKl, tf.zerosLike(kept)); // log(1 − K) where nothing counts
      return tf.add(tf.sum(tf.mul(tf.exp(logProbs), tf.sub(logProbs, known)), 1, true), finite) as Matrix;
    });
  },
};

/** @param d log π_θ − log π_ref. @param fixed the same number, constant to the gradient. */
function kl(estimator: KlEstimator, d: tf.Tensor, fixed: tf.Tensor): Matrix {
  const k2 = (x: tf.Tensor) => tf.div(tf.square(x), 2);
  const k3 = (x: tf.Tensor) => tf.sub(tf.add(tf.exp(tf.neg(x)), x), 1);
  const clamped = (x: tf.Tensor) => tf.clipByValue(k3(tf.clipByValue(x, -20, 20)), -10, 10);
  /** The value of one with the gradient of k2. */
  const withGradientOfK2 = (value: (x: tf.Tensor) => tf.Tensor) => tf.add(k2(d), tf.sub(value(fixed), k2(fixed)));
  const estimates: Readonly<Record<KlEstimator, () => tf.Tensor>> = {
    k1: () => d,
    k2: () => k2(d),
    k3: () => k3(d),
    abs: () => tf.mul(d, tf.sign(fixed)),
    "k3-clamped": () => clamped(d),
    "k1+": () => withGradientOfK2((x) => x),
    "k3+": () => withGradientOfK2(clamped),
  };
  return estimates[estimator]() as Matrix;
}

const softplus = (x: tf.Tensor) => tf.add(tf.relu(x), tf.log1p(tf.exp(tf.neg(tf.abs(x)))));

/** Pairs as one batch: the chosen rows, then the rejected ones. */
async function preference(
  { chosen, rejected }: PreferencePairs,
  { denominator }: PreferenceOptions,
  ratio: SequenceRatio,
  of: (difference: Matrix) => Matrix,
): Promise<Pick<PreferenceResult, "loss" | "chosenGradient" | "rejectedGradient">> {
  const pairs = chosen.mask.length;
  const both = (key: keyof PreferenceSide) => [...chosen[key], ...rejected[key]];
  const mask = both("mask");
  // The loss of pair i stands at the first sampled token of its chosen answer.
  const weights = mask.map((tokens, row) =>
    tokens.map((_, t) => (row < pairs && t === tokens.findIndex(Boolean) ? 1 / denominator : 0)),
  );
  const { loss, gradient } = await differentiate({ mask, weights, inputs: both("newLogProbs") }, (logProb) => {
    const rows = rowLogRatio(logProb, both("referenceLogProbs"), mask, ratio);
    const losses = of(tf.sub(tf.slice(rows, [0, 0], [pairs, 1]), tf.slice(rows, [pairs, 0], [pairs, 1])) as Matrix);
    return tf.concat([losses, tf.zeros([pairs, 1])], 0) as Matrix;
  });
  return { loss, chosenGradient: gradient.slice(0, pairs), rejectedGradient: gradient.slice(pairs) };
}
