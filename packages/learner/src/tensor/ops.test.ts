import { createRandom } from "@afterstate/core";
import * as tf from "@tensorflow/tfjs";
import { beforeAll, describe, expect, it } from "vitest";
import { openBackend } from "./backend.js";
import { attentionProbabilities, embed, expectedCost, rmsNorm, rotary, swiglu, targetLogProbs } from "./ops.js";
import { MASKED, rotaryAngles } from "./transformer.js";

beforeAll(async () => {
  await openBackend({ name: "wasm" });
});

const random = createRandom(1);
const values = (shape: readonly number[]) =>
  tf.tensor(
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => 2 * random.next() - 1),
    [...shape],
  );

/** Compares the gradient of Σ weights ⊙ f(inputs) with central differences. */
function expectGradient(f: (...inputs: tf.Tensor[]) => tf.Tensor, shapes: readonly (readonly number[])[]): void {
  const inputs = shapes.map(values);
  const weights = values(f(...inputs).shape);
  const scalar = (...x: tf.Tensor[]) => tf.sum(tf.mul(f(...x), weights)) as tf.Scalar;
  const gradients = tf.grads(scalar)(inputs);
  const h = 1e-2;
  inputs.forEach((input, index) => {
    const data = input.dataSync();
    const gradient = gradients[index]!.dataSync();
    for (let i = 0; i < data.length; i++) {
      const at = (delta: number) => {
        const moved = Float32Array.from(data);
        moved[i]! += delta;
        return scalar(...inputs.map((x, j) => (j === index ? tf.tensor(moved, x.shape) : x))).dataSync()[0]!;
      };
      expect(gradient[i]).toBeCloseTo((at(h) - at(-h)) / (2 * h), 2);
    }
  });
}

describe("operations of the transformer", () => {
  it("normalises to root mean square 1 and weighs", () => {
    // x = [3, 4]: mean square 12.5, so y = w · [3, 4] / √12.5 = [0.8485, 2·1.1314]
    const y = rmsNorm(tf.tensor2d([[3, 4]]), tf.tensor1d([1, 2]), 0).dataSync();
    expect(y[0]).toBeCloseTo(3 / Math.sqrt(12.5), 5);
    expect(y[1]).toBeCloseTo((2 * 4) / Math.sqrt(12.5), 5);
  });

  it("rotates position 1 of a 2-wide head by one radian", () => {
    // θ_0 = 1 · 10000^0 = 1, so [1, 0] → [cos 1, sin 1]
    const config = { hidden_size: 2, num_attention_heads: 1, rope_theta: 10_000 } as Parameters<typeof rotaryAngles>[0];
    const y = rotary(tf.tensor4d([1, 0, 1, 0], [1, 2, 1, 2]), rotaryAngles(config, [0, 1], [1, 2])).dataSync();
    [1, 0, Math.cos(1), Math.sin(1)].forEach((expected, i) => expect(y[i]).toBeCloseTo(expected, 5));
  });

  it("gives the log-probability of the target", () => {
    // logits [ln 1, ln 3]: π = [1/4, 3/4]
    const y = targetLogProbs(tf.tensor2d([[0, Math.log(3)]]), tf.tensor1d([1], "int32")).dataSync();
    expect(y[0]).toBeCloseTo(Math.log(0.75), 5);
  });

  it("gives the expected cost, and Kullback and Leibler's divergence for log π − log q", () => {
    // π = [1/4, 3/4], c = [8, 4]: 2 + 3. q = [1/2, 1/2]: ln 2 − H(π).
    const logits = tf.tensor2d([[0, Math.log(3)]]);
    const constant = { logProbs: tf.tensor2d([[8, 4]]), coefficient: -1 };
    expect(expectedCost(logits, { own: 0, reference: constant }).dataSync()[0]).toBeCloseTo(5, 5);
    const uniform = { logProbs: tf.fill([1, 2], Math.log(0.5)) as tf.Tensor2D, coefficient: 1 };
    const kl = expectedCost(logits, { own: 1, reference: uniform }).dataSync()[0];
    expect(kl).toBeCloseTo(Math.log(2) + 0.25 * Math.log(0.25) + 0.75 * Math.log(0.75), 5);
  });

  it("lets a masked key count for nothing", () => {
    const p = attentionProbabilities(
      tf.tensor4d([5, 1], [1, 1, 1, 2]),
      tf.tensor([MASKED, 0], [1, 1, 1, 2]),
      1,
    ).dataSync();
    expect([...p]).toEqual([0, 1]);
  });

  it("has the gradients of central differences", () => {
    expectGradient((x, w) => rmsNorm(x as tf.Tensor2D, w as tf.Tensor1D, 1e-5), [[3, 4], [4]]);
    expectGradient(
      (g, u) => swiglu(g as tf.Tensor2D, u as tf.Tensor2D),
      [
        [3, 5],
        [3, 5],
      ],
    );
    const config = { hidden_size: 8, num_attention_heads: 2, rope_theta: 10_000 } as Parameters<typeof rotaryAngles>[0];
    expectGradient((x) => rotary(x as tf.Tensor4D, rotaryAngles(config, [0, 1, 2], [1, 3])), [[1, 3, 2, 4]]);
    const mask = tf.tensor([0, MASKED, 0, 0], [1, 1, 2, 2]);
    expectGradient((s) => attentionProbabilities(s as tf.Tensor4D, mask, 0.5), [[1, 2, 2, 2]]);
    expectGradient((z) => targetLogProbs(z as tf.Tensor2D, tf.tensor1d([2, 0], "int32")), [[2, 3]]);
    const constant = { logProbs: values([2, 3]) as tf.Tensor2D, coefficient: -1 };
    expectGradient((z) => expectedCost(z as tf.Tensor2D, { own: 0, reference: constant }), [[2, 3]]);
    const reference = { logProbs: tf.logSoftmax(values([2, 3])) as tf.Tensor2D, coefficient: 1 };
    expectGradient((z) => expectedCost(z as tf.Tensor2D, { own: 1, reference }), [[2, 3]]);
    expectGradient((e) => embed(tf.tensor1d([1, 1, 0], "int32"), e as tf.Tensor2D), [[3, 2]]);
  });
});
