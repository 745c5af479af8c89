import { createRandom } from "@afterstate/core";
import * as tf from "@tensorflow/tfjs";
import { describe, expect, it } from "vitest";
import { openWebGpuForTests } from "../testing/open-webgpu.js";
import { TINY_CONFIG } from "../testing/tiny-config.js";
import { embed, expectedCost, rmsNorm, rotary, swiglu, targetLogProbs } from "./ops.js";
import { sampleBatch } from "./sampler.js";
import { createTrainable } from "./trainable.js";
import {
  causalAttention,
  disposeParameters,
  initialWeights,
  rotaryAngles,
  type TransformerConfig,
  uploadWeights,
} from "./transformer.js";

const missing = await openWebGpuForTests();
const random = createRandom(1);
/** Numbers on the CPU side: the backend in use uploads them. */
interface Numbers {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}
const draw = (...shape: readonly number[]): Numbers => ({
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => 2 * random.next() - 1),
});
const upload = ({ shape, data }: Numbers) => tf.tensor(data.slice(), [...shape]);
type Op = (...inputs: tf.Tensor[]) => tf.Tensor;

const config = (heads: number, kvHeads: number, headDim: number) =>
  ({
    hidden_size: heads * headDim,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    rope_theta: 10_000,
  }) as TransformerConfig;
const attention =
  (heads: number, kvHeads: number, headDim: number): Op =>
  (queries, keys, values) => {
    const shape = config(heads, kvHeads, headDim);
    return causalAttention(shape, queries!.shape[1]!)(0, { queries, keys, values } as never);
  };
const ids = (...of: number[]) => tf.tensor1d(of, "int32");
const reference = draw(3, 70);
const teacher = draw(3, 70);

/** Every operation with the inputs that it is differentiated by; sizes are no multiples of a workgroup's. */
const CASES: Readonly<Record<string, readonly [Op, readonly Numbers[]]>> = {
  "an embedding": [(table) => embed(ids(4, 1, 1, 0), table as tf.Tensor2D), [draw(5, 37)]],
  "an RMS norm": [(x, weight) => rmsNorm(x as tf.Tensor2D, weight as tf.Tensor1D, 1e-5), [draw(19, 70), draw(70)]],
  "rotary angles that all rows share": [
    (x) => rotary(x as tf.Tensor4D, rotaryAngles(config(3, 3, 6), [0, 1, 2, 3, 4], [1, 5])),
    [draw(2, 5, 3, 6)],
  ],
  "rotary angles of each row": [
    (x) => rotary(x as tf.Tensor4D, rotaryAngles(config(3, 3, 6), [7, 2], [2, 1])),
    [draw(2, 1, 3, 6)],
  ],
  "a gate": [(gate, up) => swiglu(gate as tf.Tensor2D, up as tf.Tensor2D), [draw(7, 41), draw(7, 41)]],
  "attention whose heads share keys": [attention(4, 2, 4), [draw(2, 37, 4, 4), draw(2, 37, 2, 4), draw(2, 37, 2, 4)]],
  "attention of a width that no vector divides": [
    attention(2, 2, 6),
    [draw(1, 5, 2, 6), draw(1, 5, 2, 6), draw(1, 5, 2, 6)],
  ],
  "log-probabilities of targets": [(logits) => targetLogProbs(logits as tf.Tensor2D, ids(69, 0, 3)), [draw(3, 70)]],
  "a divergence from a reference": [
    (logits) =>
      expectedCost(logits as tf.Tensor2D, {
        own: 0.5,
        reference: { logProbs: tf.logSoftmax(upload(reference)) as tf.Tensor2D, coefficient: 0.5 },
      }),
    [draw(3, 70)],
  ],
  "a divergence and a lesson": [
    (logits) =>
      expectedCost(logits as tf.Tensor2D, {
        own: 0.1,
        reference: { logProbs: tf.logSoftmax(upload(reference)) as tf.Tensor2D, coefficient: 0.1 },
        teacher: {
          logProbs: tf.logSoftmax(upload(teacher)) as tf.Tensor2D,
          weights: tf.tensor1d([1, 0, 0.5]),
          clip: 0.7,
        },
      }),
    [draw(3, 70)],
  ],
  "an entropy": [(logits) => expectedCost(logits as tf.Tensor2D, { own: 1 }), [draw(3, 70)]],
};

/** The value of an operation on a backend, and the gradient of Σ value ⊙ slopes by each input. */
async function evaluate(backend: string, op: Op, inputs: readonly Numbers[], slopes: Float32Array) {
  await tf.setBackend(backend);
  const tensors = tf.tidy(() => {
    const given = inputs.map(upload);
    const scalar = (...x: tf.Tensor[]) => {
      const value = op(...x);
      return tf.sum(tf.mul(value, tf.tensor(slopes.slice(0, value.size), value.shape))) as tf.Scalar;
    };
    return [op(...given), ...tf.grads(scalar)(given)];
  });
  const numbers = await Promise.all(tensors.map((tensor) => tensor.data()));
  tf.dispose(tensors);
  return numbers as Float32Array[];
}

describe.skipIf(missing !== undefined)(
  `the fused operations of webgpu${missing === undefined ? "" : ` (${missing})`}`,
  () => {
    it.for(Object.entries(CASES))(
      "give %s and its gradient as the plain composition does",
      async ([, [op, inputs]]) => {
        const slopes = draw(1400).data;
        const plain = await evaluate("cpu", op, inputs, slopes);
        const fused = await evaluate("webgpu", op, inputs, slopes);
        expect(fused.map(({ length }) => length)).toEqual(plain.map(({ length }) => length));
        fused.forEach((numbers, which) => {
          const largest = plain[which]!.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
          numbers.forEach((number, i) =>
            expect(Math.abs(number - plain[which]![i]!)).toBeLessThan(1e-5 * largest + 1e-7),
          );
        });
      },
    );

    // A lesson's cost is a constant to its gradient by definition, which no difference of values can show.
    const differentiable = Object.entries(CASES).filter(([name]) => name !== "a divergence and a lesson");
    it.for(differentiable)("give the gradient of %s that finite differences give", async ([, [op, inputs]]) => {
      const slopes = draw(1400).data;
      const [, ...gradients] = await evaluate("webgpu", op, inputs, slopes);
      const directions = inputs.map(({ shape }) => draw(...shape).data);
      const along = async (h: number) => {
        const moved = inputs.map(({ shape, data }, n) => ({
          shape,
          data: data.map((x, i) => x + h * directions[n]![i]!),
        }));
        const value = tf.tidy(() => op(...moved.map(upload)));
        const numbers = (await value.data()) as Float32Array;
        value.dispose();
        return numbers.reduce((sum, number, i) => sum + number * slopes[i]!, 0);
      };
      const h = 1e-2;
      const slope = ((await along(h)) - (await along(-h))) / (2 * h);
      const expected = gradients.reduce(
        (sum, gradient, n) => gradient.reduce((s, g, i) => s + g * directions[n]![i]!, sum),
        0,
      );
      const size = gradients.reduce((sum, gradient) => gradient.reduce((s, g) => s + g * g, sum), 0) ** 0.5;
      expect(Math.abs(slope - expected)).toBeLessThan(5e-3 * size);
    });

    it("step as AdamW does, with more weights than a kernel has buffers", async () => {
      const weights = new Map(Array.from({ length: 23 }, (_, n) => [`w${n}`, draw(1 + (n % 3), 5)] as const));
      const adam = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1 };
      const after = async (backend: string) => {
        await tf.setBackend(backend);
        const before = tf.memory().numTensors;
        const trainable = createTrainable(weights, adam);
        const loss = (parameters: ReadonlyMap<string, tf.Tensor>) =>
          [...parameters.values()]
            .map((w, n) => tf.sum(tf.mul(tf.square(w), n + 1)))
            .reduce((a, b) => tf.add(a, b)) as tf.Scalar;
        const norms: number[] = [];
        for (const clip of [1, 1e9]) {
          for (const half of [0, 1, 0] as const) await trainable.accumulate(loss, half);
          norms.push(await trainable.step(0.05, clip));
        }
        const state = [...(await trainable.weights()), ...(await trainable.optimizer())];
        trainable.dispose();
        expect(tf.memory().numTensors).toBe(before);
        return [...norms, ...state.flatMap(([, { data }]) => [...data])];
      };
      const [plain, fused] = [await after("cpu"), await after("webgpu")];
      expect(fused.length).toBe(plain.length);
      fused.forEach((number, i) => expect(Math.abs(number - plain[i]!)).toBeLessThan(1e-5 * (1 + Math.abs(plain[i]!))));
    });

    it("sample over a cache as the plain composition does, prompts and responses of any length side by side", async () => {
      const shape = { ...TINY_CONFIG, head_dim: 68, max_position_embeddings: 128 }; // wider than a workgroup, longer than one
      const weights = new Map(
        [...initialWeights(shape, 3)].map(([name, { shape, data }]) => [
          name,
          { shape, data: data.map((w) => (shape.length === 1 ? w : 10 * w)) },
        ]),
      );
      const requests = [70, 3, 66].map((length, seed) => ({
        promptIds: Array.from({ length }, (_, t) => (t * 5 + seed) % 11),
        seed,
        temperature: 1,
        maxTokens: 2 + 2 * seed,
        stopIds: new Set<number>(),
      }));
      const on = async (backend: string) => {
        await tf.setBackend(backend);
        const before = tf.memory().numTensors;
        const parameters = uploadWeights(weights);
        const samples = await sampleBatch(parameters, shape, requests);
        disposeParameters(parameters);
        expect(tf.memory().numTensors).toBe(before);
        return samples;
      };
      const [plain, fused] = [await on("cpu"), await on("webgpu")];
      expect(fused.map(({ ids }) => ids)).toEqual(plain.map(({ ids }) => ids));
      fused.forEach(({ logProbs }, row) =>
        logProbs.forEach((logProb, t) => expect(logProb).toBeCloseTo(plain[row]!.logProbs[t]!, 4)),
      );
    });

    it("fail by a sentence once the device refuses a command or is lost", async () => {
      await tf.setBackend("webgpu");
      const { device } = tf.backend() as never as { device: { createShaderModule(o: object): void; destroy(): void } };
      device.createShaderModule({ code: "nonsense", label: "" });
      await expect(tf.ones([2]).add(1).data()).rejects.toMatchObject({ code: "tensor/device-error" });
      device.destroy();
      await expect(tf.ones([2]).add(1).data()).rejects.toMatchObject({ code: /tensor\/device-/ });
    });
  },
);
