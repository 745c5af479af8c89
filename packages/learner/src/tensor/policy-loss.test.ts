import { beforeAll, describe, expect, it } from "vitest";
import { TINY_CONFIG } from "../testing/tiny-config.js";
import { openBackend } from "./backend.js";
import { type PolicyLossRow, policyLoss, preparePolicyBatch, responseLogProbs } from "./policy-loss.js";
import { createTrainable } from "./trainable.js";
import { initialWeights, type Parameters, uploadWeights } from "./transformer.js";

beforeAll(async () => {
  await openBackend({ name: "wasm" });
});

const options = {
  clipLow: 0.2,
  clipHigh: 0.2,
  klCoefficient: 0,
  distillationWeight: 1,
  distillationClip: 5,
  denominator: 1,
};
const row = (changes: Partial<PolicyLossRow> = {}): PolicyLossRow => ({
  promptIds: [1, 2, 3],
  ids: [4, 5, 6],
  mask: [1, 1, 1],
  temperature: 1,
  advantages: [0, 0, 0],
  ...changes,
});
/** Weights so large that a hint changes what the policy says. */
const weights = new Map(
  [...initialWeights(TINY_CONFIG, 5)].map(([name, { shape, data }]) => [
    name,
    { shape, data: shape.length === 1 ? data : data.map((w) => 12 * w) },
  ]),
);

async function gradientNorm(rows: readonly PolicyLossRow[], reference: Parameters, changes: Partial<typeof options>) {
  const trainable = createTrainable(weights, { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0 });
  const batch = await preparePolicyBatch(trainable.parameters, reference, TINY_CONFIG, rows, { teacher: "policy" });
  await trainable.accumulate(policyLoss(TINY_CONFIG, batch, { ...options, ...changes }));
  const norm = await trainable.step(0, 1);
  batch.dispose();
  trainable.dispose();
  return norm;
}

describe("a lesson", () => {
  const teacherPromptIds = [1, 2, 3, 9, 9];

  it("counts as far as the teacher would have come, token by token", async () => {
    const parameters = uploadWeights(weights);
    const rows = [row(), row({ teacherPromptIds, mask: [1, 1, 1] })];
    const { lesson, tokens } = await preparePolicyBatch(parameters, parameters, TINY_CONFIG, rows, {
      teacher: "policy",
    });
    const [old] = await responseLogProbs(parameters, TINY_CONFIG, [row()]);
    const [taught] = await responseLogProbs(parameters, TINY_CONFIG, [row({ promptIds: teacherPromptIds })]);
    const deltas = taught!.map((logProb, t) => logProb - old![t]!);
    expect(Math.max(...deltas.map(Math.abs))).toBeGreaterThan(0.05);
    const first = tokens.seq + 2; // the second row; the token after its three prompt tokens is predicted at the third
    const prefix = [0, deltas[0]!, deltas[0]! + deltas[1]!];
    prefix.forEach((sum, t) => {
      expect(lesson!.delta[first + t]).toBeCloseTo(deltas[t]!, 4);
      expect(lesson!.weight[first + t]).toBeCloseTo(Math.min(1, Math.exp(sum)), 4);
    });
    expect([...lesson!.weight.subarray(0, tokens.seq)]).toEqual(Array(tokens.seq).fill(0));
  });

  it("is what the frozen reference says where that is the teacher", async () => {
    const [parameters, reference] = [uploadWeights(weights), uploadWeights(initialWeights(TINY_CONFIG, 6))];
    const rows = [row({ teacherPromptIds })];
    const { lesson } = await preparePolicyBatch(parameters, reference, TINY_CONFIG, rows, { teacher: "reference" });
    const [old] = await responseLogProbs(parameters, TINY_CONFIG, [row()]);
    const [taught] = await responseLogProbs(reference, TINY_CONFIG, [row({ promptIds: teacherPromptIds })]);
    taught!.forEach((logProb, t) => expect(lesson!.delta[2 + t]).toBeCloseTo(logProb - old![t]!, 4));
  });

  it("has no gradient once the teacher says nothing else, and one as long as it does", async () => {
    const reference = uploadWeights(weights);
    expect(await gradientNorm([row({ teacherPromptIds: [1, 2, 3] })], reference, {})).toBeLessThan(1e-5);
    expect(await gradientNorm([row({ teacherPromptIds })], reference, {})).toBeGreaterThan(1e-3);
    expect(await gradientNorm([row()], reference, {})).toBe(0);
  });

  it("leaves out what does not count", async () => {
    const reference = uploadWeights(weights);
    expect(await gradientNorm([row({ teacherPromptIds, mask: [0, 0, 0] })], reference, { klCoefficient: 1 })).toBe(0);
  });
});

it("is pulled to the reference by the divergence over the whole vocabulary", async () => {
  const [same, other] = [uploadWeights(weights), uploadWeights(initialWeights(TINY_CONFIG, 6))];
  expect(await gradientNorm([row()], same, { klCoefficient: 1 })).toBeLessThan(1e-5);
  expect(await gradientNorm([row()], other, { klCoefficient: 1 })).toBeGreaterThan(1e-3);
});
