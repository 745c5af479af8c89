import type { TokenRecord } from "@afterstate/core";
import { beforeAll, describe, expect, it } from "vitest";
import { openBackend } from "../tensor/backend.js";
import { packTokens, sequenceLogits } from "../tensor/sequence-log-probs.js";
import { initialWeights, uploadWeights } from "../tensor/transformer.js";
import { PLAIN_UPDATE } from "../testing/plain-update.js";
import { TINY_CONFIG } from "../testing/tiny-config.js";
import type { PolicyWeights, TrainingSample, UpdateOptions } from "../types.js";
import { createTrainer } from "./trainer.js";

beforeAll(async () => {
  await openBackend({ name: "wasm" });
});

const OPTIONS: UpdateOptions = { ...PLAIN_UPDATE, learningRate: 5e-2, epochs: 2 };
const weights = initialWeights(TINY_CONFIG, 5);
const sample: TrainingSample = {
  of: { episodeId: "e/0", stepIndex: 0 },
  policyVersion: "base",
  tokens: { promptIds: [1, 2, 3], ids: [4, 5], logProbs: [0, 0], mask: [1, 1], temperature: 1 },
  advantages: [1, 1],
};
const probe: readonly TokenRecord[] = [
  { promptIds: [1, 2], ids: [7, 8, 9], logProbs: [0, 0, 0], mask: [1, 0, 1], temperature: 1 },
  { promptIds: [6], ids: [3], logProbs: [0], mask: [1], temperature: 1 },
];

async function train(maxKl?: number) {
  const trainer = await createTrainer(TINY_CONFIG);
  const request = { weights, reference: weights, samples: [sample], options: OPTIONS };
  const result = await trainer.update({ ...request, ...(maxKl !== undefined && { trustRegion: { probe, maxKl } }) });
  await trainer.dispose();
  return result;
}

/** KL(π ‖ π_before) of the probe by its definition, from the logits of the plain network. */
async function plainKl(after: PolicyWeights): Promise<number> {
  const rows = async (of: PolicyWeights) => {
    const packed = packTokens(
      probe.map(({ promptIds, ids }) => [...promptIds, ...ids]),
      probe.map(() => 1),
    );
    const logits = (await sequenceLogits(uploadWeights(of), TINY_CONFIG, packed).array()) as number[][];
    const at = (row: number, t: number) => logits[row * packed.seq + t]!;
    return [at(0, 1), at(0, 3), at(1, 0)].map((scores) => {
      const total = Math.log(scores.reduce((sum, score) => sum + Math.exp(score), 0));
      return scores.map((score) => score - total);
    });
  };
  const [now, before] = [await rows(after), await rows(weights)];
  const each = now.map((row, i) => row.reduce((sum, p, v) => sum + Math.exp(p) * (p - before[i]![v]!), 0));
  return each.reduce((sum, kl) => sum + kl, 0) / each.length;
}

describe("a trust region", () => {
  it("leaves a step alone that stays within", async () => {
    const [free, bounded] = [await train(), await train(1e6)];
    expect([...bounded.weights]).toEqual([...free.weights]);
    expect(bounded.metrics.stepShare).toBe(1);
    expect(bounded.metrics.stepKl).toBeCloseTo(await plainKl(free.weights), 4);
  });

  it("shortens a step that would leave, to within the bound, not to nothing", async () => {
    const asked = (await train(1e6)).metrics.stepKl!;
    const maxKl = asked / 10;
    const { weights: confined, metrics } = await train(maxKl);
    expect(metrics.stepKlAsked).toBeCloseTo(asked, 6);
    expect(metrics.stepShare).toBeLessThan(1);
    expect(metrics.stepKl).toBeLessThanOrEqual(maxKl);
    expect(metrics.stepKl).toBeGreaterThan(maxKl / 3);
    expect(await plainKl(confined)).toBeCloseTo(metrics.stepKl!, 4);
  });

  it("takes no step at all where none is small enough", async () => {
    const { weights: same, metrics } = await train(-1);
    expect(metrics).toMatchObject({ stepShare: 0, stepKl: 0 });
    expect([...same]).toEqual([...weights]);
  });
});
