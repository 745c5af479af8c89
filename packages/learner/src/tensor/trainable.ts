import { AgentError } from "@afterstate/core";
import * as tf from "@tensorflow/tfjs";
import type { PolicyWeights, WeightArray } from "../types.js";
import { type AdamOptions, assertOptimizerFits, isDecayed } from "./adam.js";
import { fusedOperations } from "./fused-operations.js";
import { disposeParameters, type Parameters, uploadWeights } from "./transformer.js";

/**
 * Unbiased estimates from the gradients g₁, g₂ of the two halves of a batch, whose sum is its gradient (arXiv:1812.06162, App. A.1).
 */
export interface GradientAgreement {
  /** |G|² of the true gradient: 4 g₁·g₂. Below 0 by chance. */
  readonly signal: number;
  /** |G|² plus the noise of the batch: |g₁ + g₂|². */
  readonly power: number;
}

/** Weights under training with the moments of AdamW. Owns its tensors, but not the frozen ones. */
export interface Trainable {
  /** The weights under training and the frozen ones. */
  readonly parameters: Parameters;
  /** Adds the gradient of `loss` to the accumulated one, as part of one half of the batch. @returns the loss. */
  accumulate(loss: (parameters: Parameters) => tf.Scalar, half?: 0 | 1): Promise<number>;
  /** How far the halves agree on the accumulated gradient; undefined while one of them has none. */
  agreement(): Promise<GradientAgreement | undefined>;
  /**
   * One step on the accumulated gradient, clipped to the global norm, and starts over.
   * @returns the norm before clipping.
   * @throws AgentError `learner/non-finite-loss` when it is not finite; the weights are as before then.
   */
  step(learningRate: number, gradientClip: number): Promise<number>;
  weights(): Promise<PolicyWeights>;
  /** Moments under `<weight>.exp_avg` and `<weight>.exp_avg_sq`, and `step` [1]. */
  optimizer(): Promise<PolicyWeights>;
  dispose(): void;
}

/**
 * Makes weights trainable.
 *
 *   m ← β₁m + (1 − β₁)g        v ← β₂v + (1 − β₂)g²
 *   w ← w − η (m̂ / (√v̂ + ε) + λw),  m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ),  λ = 0 on norms and biases
 *
 * @param frozen weights that the loss depends on and that stay as they are; the caller disposes them.
 *
 * Gradients, moments and weights are handled as one flat vector: a dozen kernels a step, whatever the number of weights. All activations
 * of a micro-batch are held until its backward pass is over: computing layers again in place of that is the CPU engine's.
 *
 * @throws CheckpointError `checkpoint/mismatch` when the optimizer's state is that of other weights.
 */
export function createTrainable(
  initial: PolicyWeights,
  options: AdamOptions,
  {
    optimizer,
    frozen,
  }: { readonly optimizer?: PolicyWeights | undefined; readonly frozen?: Parameters | undefined } = {},
): Trainable {
  assertOptimizerFits(initial, optimizer);
  const names = [...initial.keys()];
  const shapes = names.map((name) => [...initial.get(name)!.shape]);
  const sizes = shapes.map((shape) => shape.reduce((product, size) => product * size, 1));
  let parameters = uploadWeights(initial);
  const all = (): Parameters => (frozen === undefined ? parameters : new Map([...frozen, ...parameters]));
  let [mean, variance] = [moment("exp_avg"), moment("exp_avg_sq")];
  let time = optimizer?.get("step")?.data[0] ?? 0;
  /** Of each half of the batch. */
  const halves: [tf.Tensor1D | undefined, tf.Tensor1D | undefined] = [undefined, undefined];

  function moment(kind: string): tf.Tensor1D {
    return tf.tidy(() => {
      const parts = names.map((name, i) => optimizer?.get(`${name}.${kind}`)?.data ?? new Float32Array(sizes[i]!));
      return tf.concat(parts.map((part) => tf.tensor1d(part)));
    });
  }

  const flatten = (tensors: readonly tf.Tensor[]) =>
    tf.concat(tensors.map((tensor) => tf.reshape(tensor, [-1]))) as tf.Tensor1D;

  function dropGradient(): void {
    for (const half of halves) half?.dispose();
    halves.fill(undefined);
  }

  async function download(flat: tf.Tensor1D, suffix: string): Promise<Map<string, WeightArray>> {
    const data = (await flat.data()) as Float32Array;
    let offset = 0;
    return new Map(
      names.map((name, i) => {
        offset += sizes[i]!;
        return [name + suffix, { shape: shapes[i]!, data: data.slice(offset - sizes[i]!, offset) }];
      }),
    );
  }

  return {
    get parameters() {
      return all();
    },

    async accumulate(loss, half = 0) {
      const value = tf.tidy(() => {
        const evaluate = (...tensors: tf.Tensor[]) =>
          loss(new Map([...(frozen ?? []), ...names.map((name, i) => [name, tensors[i]!] as const)]));
        const { value, grads } = tf.valueAndGrads(evaluate as (...tensors: tf.Tensor[]) => tf.Tensor)([
          ...parameters.values(),
        ]);
        const before = halves[half];
        const fused = fusedOperations();
        if (fused !== undefined) {
          halves[half] = tf.keep(fused.addGradients(before, grads));
          return value;
        }
        const flat = flatten(grads);
        halves[half] = tf.keep(before === undefined ? flat : (tf.add(before, flat) as tf.Tensor1D));
        before?.dispose();
        return value;
      });
      const number = (await value.data())[0]!;
      value.dispose();
      return number;
    },

    async agreement() {
      const [first, second] = halves;
      if (first === undefined || second === undefined) return undefined;
      const products = tf.tidy(() =>
        tf.stack([tf.sum(tf.mul(first, second)), tf.sum(tf.square(tf.add(first, second)))]),
      );
      const [dot, power] = await products.data();
      products.dispose();
      return { signal: 4 * dot!, power: power! };
    },

    async step(learningRate, gradientClip) {
      const given = halves.filter((half) => half !== undefined);
      if (given.length === 0) throw new AgentError("learner/no-gradient", "step() was called before accumulate()");
      const gradient = tf.tidy(() => tf.addN(given) as tf.Tensor1D);
      dropGradient();
      const normTensor = tf.tidy(() => tf.sqrt(tf.sum(tf.square(gradient))));
      const norm = (await normTensor.data())[0]!;
      normTensor.dispose();
      if (!Number.isFinite(norm)) {
        gradient.dispose();
        throw new AgentError(
          "learner/non-finite-loss",
          `the gradient's norm is ${norm}; the update is dropped and the weights are as before`,
        );
      }
      time += 1;
      const { beta1, beta2, epsilon, weightDecay } = options;
      const scale = norm > gradientClip ? gradientClip / norm : 1;
      const [correction1, correction2] = [1 - beta1 ** time, 1 - beta2 ** time];
      const fused = fusedOperations();
      if (fused !== undefined) {
        const step = { ...options, gradient, mean, variance, scale, learningRate, correction1, correction2 };
        fused.adamStep([...parameters.values()], step);
        gradient.dispose();
        return norm;
      }
      const next = tf.tidy(() => {
        const g = tf.mul(gradient, scale);
        const m = tf.add(tf.mul(mean, beta1), tf.mul(g, 1 - beta1)) as tf.Tensor1D;
        const v = tf.add(tf.mul(variance, beta2), tf.mul(tf.square(g), 1 - beta2)) as tf.Tensor1D;
        const denominator = tf.add(tf.sqrt(tf.div(v, correction2)), epsilon);
        const direction = tf.div(tf.div(m, correction1), denominator);
        const tensors = [...parameters.values()];
        const w = flatten(tensors);
        const decaying = () => flatten(tensors.map((x) => (isDecayed(x.shape) ? x : tf.zerosLike(x))));
        const decayed = weightDecay === 0 ? direction : tf.add(direction, tf.mul(decaying(), weightDecay));
        const moved = tf.sub(w, tf.mul(decayed, learningRate)) as tf.Tensor1D;
        return { m, v, parts: tf.split(moved, sizes).map((part, i) => tf.reshape(part, shapes[i]!)) };
      });
      disposeParameters(parameters);
      for (const tensor of [mean, variance, gradient]) tensor.dispose();
      [mean, variance] = [next.m, next.v];
      parameters = new Map(names.map((name, i) => [name, next.parts[i]!]));
      return norm;
    },

    async weights() {
      const flat = tf.tidy(() => flatten([...parameters.values()]));
      const weights = await download(flat, "");
      flat.dispose();
      return weights;
    },

    async optimizer() {
      const state = new Map([...(await download(mean, ".exp_avg")), ...(await download(variance, ".exp_avg_sq"))]);
      return state.set("step", { shape: [1], data: new Float32Array([time]) });
    },

    dispose() {
      disposeParameters(parameters);
      for (const tensor of [mean, variance]) tensor.dispose();
      dropGradient();
    },
  };
}
