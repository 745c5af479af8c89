import { createRandom } from "@afterstate/core";
import * as tf from "@tensorflow/tfjs";
import { beforeAll, describe, expect, it } from "vitest";
import { TINY_CONFIG } from "../testing/tiny-config.js";
import { createTrainer } from "../trainer/trainer.js";
import type { PolicyWeights, UpdateOptions } from "../types.js";
import { openBackend } from "./backend.js";
import { adapted, initialAdapter, LORA_TARGETS, type LoraConfig, loraName, loraShapes, mergeAdapter } from "./lora.js";
import { responseLogProbs } from "./policy-loss.js";
import { initialWeights, learnedShapes, type TransformerConfig, uploadWeights, weightShapes } from "./transformer.js";

beforeAll(async () => {
  await openBackend({ name: "wasm" });
});

const lora: LoraConfig = { r: 2, lora_alpha: 6, target_modules: ["q_proj", "v_proj", "down_proj"] };
const config: TransformerConfig = { ...TINY_CONFIG, lora };
const base = initialWeights(TINY_CONFIG, 5);
const row = { promptIds: [1, 2, 3], ids: [4, 5, 6], temperature: 1 };
const logProbs = async (config: TransformerConfig, ...weights: readonly PolicyWeights[]) =>
  (await responseLogProbs(new Map(weights.flatMap((part) => [...uploadWeights(part)])), config, [row]))[0]!;

/** Adapters whose B is not zero. */
function drawAdapter(): PolicyWeights {
  const random = createRandom(3);
  return new Map(
    [...initialAdapter(learnedShapes(config), 1)].map(([name, { shape, data }]) => [
      name,
      { shape, data: data.map(() => random.next() - 0.5) },
    ]),
  );
}

describe("adapters", () => {
  it("have PEFT's names and shapes", () => {
    expect([...learnedShapes(config)].slice(0, 4)).toEqual([
      ["base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", [2, 8]],
      ["base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight", [8, 2]],
      ["base_model.model.model.layers.0.self_attn.v_proj.lora_A.weight", [2, 8]],
      ["base_model.model.model.layers.0.self_attn.v_proj.lora_B.weight", [4, 2]],
    ]);
  });

  it("change nothing at first", async () => {
    const adapter = initialAdapter(learnedShapes(config), 1);
    expect(await logProbs(config, base, adapter)).toEqual(await logProbs(TINY_CONFIG, base));
  });

  it("compute beside the matrices what the merged matrices compute", async () => {
    const adapter = drawAdapter();
    const beside = await logProbs(config, base, adapter);
    const merged = await logProbs(TINY_CONFIG, mergeAdapter(base, adapter, lora));
    beside.forEach((logProb, t) => expect(logProb).toBeCloseTo(merged[t]!, 4));
    expect(Math.abs(beside[0]! - (await logProbs(TINY_CONFIG, base))[0]!)).toBeGreaterThan(1e-2);
  });

  it("have the gradients of central differences, and so has what they are applied to", () => {
    const random = createRandom(4);
    const draw = (rows: number, columns: number) =>
      tf.tensor2d(
        Array.from({ length: rows * columns }, () => 2 * random.next() - 1),
        [rows, columns],
      );
    const [x, a, b, matrix, weights] = [draw(4, 3), draw(2, 3), draw(5, 2), draw(5, 3), draw(4, 5)];
    const loss = (x: tf.Tensor, a: tf.Tensor, b: tf.Tensor) => {
      const parameters = new Map([
        [loraName("m", "A"), a],
        [loraName("m", "B"), b],
      ]);
      return tf.sum(tf.mul(adapted(parameters, lora, x as tf.Tensor2D, matrix, "m")!, weights)) as tf.Scalar;
    };
    const inputs: readonly tf.Tensor[] = [x, a, b];
    const gradients = tf.grads(loss as (...inputs: tf.Tensor[]) => tf.Scalar)([...inputs]);
    inputs.forEach((input, index) => {
      const data = input.dataSync();
      data.forEach((_, i) => {
        const at = (delta: number) => {
          const moved = tf.tensor(
            data.map((value, j) => (j === i ? value + delta : value)),
            input.shape,
          );
          const [x, a, b] = inputs.map((other, j) => (j === index ? moved : other));
          return loss(x!, a!, b!).dataSync()[0]!;
        };
        expect(gradients[index]!.dataSync()[i]).toBeCloseTo((at(0.1) - at(-0.1)) / 0.2, 3);
      });
    });
  });

  it("learn over a base that stays as it is", async () => {
    const options: UpdateOptions = {
      learningRate: 1e-2,
      stepSize: "fixed",
      epochs: 3,
      clipLow: 0.2,
      clipHigh: 10,
      klCoefficient: 0,
      distillationWeight: 0,
      distillationClip: 5,
      gradientClip: 1,
      lossDenominator: 4,
    };
    const tokens = { ...row, logProbs: [0, 0, 0], mask: [1, 1, 1] };
    const sample = { of: { episodeId: "e/0", stepIndex: 0 }, policyVersion: "base", tokens, advantages: [1, 1, 1] };
    const trainer = await createTrainer(config, base);
    const adapter = initialAdapter(learnedShapes(config), 1);
    const { weights, optimizer } = await trainer.update({
      weights: adapter,
      reference: adapter,
      samples: [sample],
      options,
    });
    await trainer.dispose();
    expect([...weights.keys()]).toEqual([...adapter.keys()]);
    expect([...optimizer.keys()].filter((name) => !name.includes("lora"))).toEqual(["step", "signal_share"]);
    const [before, after] = [await logProbs(config, base, adapter), await logProbs(config, base, weights)];
    const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
    expect(sum(after)).toBeGreaterThan(sum(before) + 0.01);
    await expect(createTrainer(config)).rejects.toMatchObject({ code: "lora/no-base" });
  });

  it("go where they are asked to: to attention alone, or to every matrix of a layer", () => {
    const modules = (target_modules: readonly string[]) =>
      [...loraShapes(weightShapes(TINY_CONFIG), { ...lora, target_modules }).keys()]
        .filter((name) => name.includes("layers.1") && name.includes("lora_A"))
        .map((name) => name.split(".").at(-3));
    expect(modules(["q_proj", "k_proj", "v_proj", "o_proj"])).toEqual(["q_proj", "k_proj", "v_proj", "o_proj"]);
    expect(modules(LORA_TARGETS)).toEqual(LORA_TARGETS);
  });

  it("refuse targets and ranks that make no sense", () => {
    const shapes = (changes: Partial<LoraConfig>) => () =>
      loraShapes(weightShapes(TINY_CONFIG), { ...lora, ...changes });
    expect(shapes({ target_modules: ["embed_tokens"] })).toThrow('target_modules has "embed_tokens"');
    expect(shapes({ target_modules: [] })).toThrow("target_modules is empty");
    expect(shapes({ r: 0 })).toThrow("r is 0");
  });
});
