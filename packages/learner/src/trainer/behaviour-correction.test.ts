import { beforeAll, describe, expect, it } from "vitest";
import { openBackend } from "../tensor/backend.js";
import { initialWeights } from "../tensor/transformer.js";
import { PLAIN_UPDATE } from "../testing/plain-update.js";
import { TINY_CONFIG } from "../testing/tiny-config.js";
import type { TrainingSample, UpdateOptions } from "../types.js";
import { createTrainer } from "./trainer.js";

beforeAll(async () => {
  await openBackend({ name: "wasm" });
});

const OPTIONS: UpdateOptions = { ...PLAIN_UPDATE, gradientClip: 1e9 };
const weights = initialWeights(TINY_CONFIG, 5);

const sample = (episode: number, policyVersion: string, more: Partial<TrainingSample> = {}): TrainingSample => ({
  of: { episodeId: `e/${episode}`, stepIndex: 0 },
  policyVersion,
  tokens: { promptIds: [1, 2, 3], ids: [4, 5, 6], logProbs: [-2, -9, 0], mask: [1, 1, 0], temperature: 1 },
  advantages: [1, -0.5, 0],
  ...more,
});

async function train(samples: readonly TrainingSample[], version?: string) {
  const trainer = await createTrainer(TINY_CONFIG);
  const request = { weights, reference: weights, samples, options: OPTIONS };
  const result = await trainer.update({ ...request, ...(version !== undefined && { version }) });
  await trainer.dispose();
  return { ...result, data: [...result.weights.values()].map(({ data }) => [...data]) };
}

describe("samples of other versions", () => {
  it("count by how much likelier the policy under training is to say them, at most twice", async () => {
    // The tiny policy is all but uniform: log π_old ≈ −ln(vocabulary), far above −9 and below 0.
    const uniform = Math.exp(-Math.log(TINY_CONFIG.vocab_size));
    const first = Math.min(2, uniform / Math.exp(-2));
    const stale = await train([sample(0, "v1")], "v2");
    expect(stale.metrics.staleTokens).toBe(2);
    expect(stale.metrics.staleWeight).toBeCloseTo((first + 2) / 2, 1);
    // The same update by hand: each advantage times its weight, on a sample of the version itself.
    const weight = 2 * stale.metrics.staleWeight! - 2;
    const byHand = await train([sample(0, "v2", { advantages: [weight, -0.5 * 2, 0] })], "v2");
    for (const [array, values] of stale.data.entries())
      for (const [i, value] of values.entries()) expect(value).toBeCloseTo(byHand.data[array]![i]!, 4);
  });

  it("leave samples of the version itself as they are, to the bit", async () => {
    const plain = await train([sample(0, "v2"), sample(1, "v2")]);
    const corrected = await train([sample(0, "v2"), sample(1, "v2")], "v2");
    expect(corrected.data).toEqual(plain.data);
    expect(corrected.metrics).toMatchObject({ staleTokens: 0, staleWeight: 1 });
  });

  it("change nothing about their neighbours of the version itself", async () => {
    const idle = sample(1, "v1", { advantages: [0, 0, 0] });
    const mixed = await train([sample(0, "v2"), idle], "v2");
    const alone = await train([sample(0, "v2"), { ...idle, policyVersion: "v2" }], "v2");
    expect(mixed.data).toEqual(alone.data);
  });
});
