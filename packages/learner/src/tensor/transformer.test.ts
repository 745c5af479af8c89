import * as tf from "@tensorflow/tfjs";
import { beforeAll, describe, expect, it } from "vitest";
import { TINY_CONFIG } from "../testing/tiny-config.js";
import { openBackend } from "./backend.js";
import { rmsNorm, withGradient } from "./ops.js";
import { packTokens, sequenceLogProbs } from "./sequence-log-probs.js";
import { initialWeights, type TransformerConfig, uploadWeights, weightShapes } from "./transformer.js";

beforeAll(async () => {
  await openBackend({ name: "wasm" });
});

const QWEN: TransformerConfig = { ...TINY_CONFIG, head_dim: 4, attention_bias: true, qk_norm: true };

describe("an architecture with biases, head norms and a head width of its own", () => {
  it("has weights of these shapes", () => {
    const shapes = weightShapes(QWEN);
    const attention = (name: string) => shapes.get(`model.layers.1.self_attn.${name}`);
    expect(attention("q_proj.weight")).toEqual([16, 8]); // 4 heads of 4
    expect(attention("k_proj.bias")).toEqual([8]); // 2 heads of 4
    expect(attention("q_norm.weight")).toEqual([4]);
    expect(attention("o_proj.weight")).toEqual([8, 16]);
    expect(weightShapes(TINY_CONFIG).has("model.layers.0.self_attn.q_proj.bias")).toBe(false);
  });

  it("begins with biases 0 and norms 1", () => {
    const weights = initialWeights(QWEN, 1);
    expect(new Set(weights.get("model.layers.0.self_attn.q_proj.bias")!.data)).toEqual(new Set([0]));
    expect(new Set(weights.get("model.layers.0.self_attn.k_norm.weight")!.data)).toEqual(new Set([1]));
  });

  it.each(["q_proj.bias", "k_proj.bias", "v_proj.bias", "q_norm.weight", "k_norm.weight"])(
    "has the gradient of central differences by %s",
    (short) => {
      const name = `model.layers.0.self_attn.${short}`;
      const parameters = new Map(uploadWeights(initialWeights(QWEN, 3)));
      // Larger weights, so that gradients stand out of float32 rounding.
      for (const [key, value] of parameters) if (value.rank === 2) parameters.set(key, tf.mul(value, 15));
      const batch = packTokens([[1, 5, 2, 9, 4, 7]]);
      const loss = (weight: tf.Tensor): tf.Scalar =>
        tf.sum(sequenceLogProbs(new Map([...parameters, [name, weight]]), QWEN, batch)) as tf.Scalar;
      const weight = parameters.get(name)!;
      const gradient = tf.grad(loss)(weight).dataSync();
      const data = weight.dataSync();
      const h = 3e-3;
      for (let i = 0; i < data.length; i++) {
        const at = (delta: number) =>
          loss(
            tf.tensor(
              data.map((value, j) => (j === i ? value + delta : value)),
              weight.shape,
            ),
          ).dataSync()[0]!;
        expect(gradient[i]).toBeCloseTo((at(h) - at(-h)) / (2 * h), 2);
      }
      expect(Math.max(...gradient.map(Math.abs))).toBeGreaterThan(short === "k_proj.bias" ? 0.01 : 0.05);
    },
  );
});

describe("a pass of the transformer", () => {
  it("holds one tensor a layer where no gradient is asked for", () => {
    const held = (layers: number): number => {
      const config = { ...TINY_CONFIG, num_hidden_layers: layers };
      const parameters = uploadWeights(initialWeights(config, 1));
      return tf.tidy(() => {
        const before = tf.memory().numTensors;
        sequenceLogProbs(parameters, config, packTokens([[1, 5, 2, 9]]));
        return tf.memory().numTensors - before;
      });
    };
    expect(held(5) - held(2)).toBe(3);
  });

  it("holds of an operation its gradients alone by the end of the way back", () => {
    const held = (operations: number): number => {
      let atTheEnd = 0;
      const first = (x: tf.Tensor): tf.Tensor2D =>
        withGradient([x], ([x]) => ({
          value: tf.clone(x!),
          gradient: (dy) => {
            atTheEnd = tf.memory().numTensors;
            return [tf.clone(dy)];
          },
        }));
      tf.tidy(() => {
        const weight = tf.ones([3]) as tf.Tensor1D;
        tf.grad((x) => {
          let y = first(x);
          for (let i = 0; i < operations; i++) y = rmsNorm(y, weight, 1e-5);
          return tf.sum(y);
        })(tf.ones([2, 3]));
      });
      return atTheEnd;
    };
    // dx and d weight of each of the three more; what they saved and went through is gone.
    expect(held(5) - held(2)).toBe(2 * 3);
  });
});
