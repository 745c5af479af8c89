import { beforeAll, describe, expect, it } from "vitest";
import { openMachine } from "../engine/machine.js";
import type { Objective, PolicyLossName } from "../objectives/objective.js";
import { openBackend } from "../tensor/backend.js";
import { ARCHITECTURES, drawnWeights } from "../testing/engine-cases.js";
import { TINY_CONFIG } from "../testing/tiny-config.js";
import type { PolicyWeights, TrainingSample, UpdateOptions } from "../types.js";
import { engineUpdates } from "./engine-update.js";
import { objectiveTerms } from "./objective-terms.js";
import type { UpdateEngine } from "./policy-update.js";
import { tensorUpdates } from "./tensor-update.js";
import { createTrainer } from "./trainer.js";

const ADAM = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0 };

beforeAll(async () => {
  await openBackend({ name: "wasm" });
});

const CLIP = { clipLow: 0.2, clipHigh: 0.25 };
const LOSSES: readonly PolicyLossName[] = [
  { name: "reinforce" },
  { name: "importance-sampling" },
  { name: "ppo", ...CLIP, dualClip: 3 },
  { name: "gspo", clipLow: 3e-4, clipHigh: 4e-4 },
  { name: "sapo", tauPositive: 1, tauNegative: 1.05 },
  { name: "cispo", clipLow: 1, clipHigh: 1 },
];

const sample = (
  episodeId: string,
  promptIds: readonly number[],
  ids: readonly number[],
  advantages: readonly number[],
  more: Partial<TrainingSample["tokens"]> = {},
): TrainingSample => ({
  of: { episodeId, stepIndex: 0 },
  policyVersion: "base",
  tokens: { promptIds, ids, logProbs: ids.map(() => -3), mask: ids.map(() => 1), temperature: 1, ...more },
  advantages,
});
const SAMPLES = [
  sample("a", [1, 2, 3], [4, 5, 6, 7], [1, 9, -0.5, 2], { mask: [1, 0, 1, 1], temperature: 0.7 }),
  sample("b", [8, 9], [10, 1, 2], [-1, 0.3, 0]),
  sample("c", [2], [3], [0], { mask: [0] }),
];
const OPTIONS: UpdateOptions = {
  learningRate: 2e-2,
  stepSize: "fixed",
  epochs: 3,
  ...CLIP,
  klCoefficient: 0.1,
  distillationWeight: 0,
  distillationClip: 5,
  gradientClip: 1,
  lossDenominator: 6,
};

/** Two steps, the halves of a batch apart, and all numbers on the way. */
async function twoSteps(engine: UpdateEngine, weights: PolicyWeights, objective: Objective) {
  const update = engine.open({ weights, reference: weights }, ADAM);
  const batches = [];
  for (const samples of [SAMPLES.slice(0, 1), SAMPLES.slice(1)]) {
    const rows = samples.map(({ tokens, ...rest }) => ({ ...tokens, ...rest }));
    batches.push({ samples, batch: await update.prepare(rows, { teacher: undefined }) });
  }
  const losses: number[] = [];
  for (let step = 0; step < 2; step++) {
    const { loss, terms } = await objectiveTerms(batches, objective, 6, step === 0);
    losses.push(loss);
    for (const [i, { batch }] of batches.entries())
      losses.push(await batch.accumulate({ ...OPTIONS, denominator: 6 }, i as 0 | 1, terms[i]));
    losses.push(await update.step(2e-2, 10));
  }
  const moments = [...(await update.optimizer())].flatMap(([name, { data }]) =>
    name.endsWith("exp_avg") ? [...data] : [],
  );
  for (const { batch } of batches) batch.dispose();
  update.dispose();
  return { losses, moments };
}

/** Greatest difference, relative to the greatest number. */
function difference(left: readonly number[], right: readonly number[]): number {
  expect(left.length).toBe(right.length);
  const size = right.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);
  return left.reduce((most, value, i) => Math.max(most, Math.abs(value - right[i]!) / size), 0);
}

async function train(changes: Partial<UpdateOptions>, samples: readonly TrainingSample[] = SAMPLES) {
  const { learned: weights } = drawnWeights(TINY_CONFIG, 3);
  const reference = drawnWeights(TINY_CONFIG, 4).learned;
  const trainer = await createTrainer(TINY_CONFIG);
  const result = await trainer.update({ weights, reference, samples, options: { ...OPTIONS, ...changes } });
  await trainer.dispose();
  const moved = [...result.weights].flatMap(([name, { data }]) =>
    [...data].map((value, i) => value - weights.get(name)!.data[i]!),
  );
  return { moved, metrics: result.metrics };
}

describe("an objective in an update", () => {
  it.each(LOSSES)("comes out alike on the engine and on TensorFlow.js: $name", async (loss) => {
    const name = Object.keys(ARCHITECTURES)[0]!;
    const config = ARCHITECTURES[name]!;
    const { learned, frozen } = drawnWeights(config, 3);
    const objective: Objective = {
      loss,
      aggregation: loss.name === "gspo" ? "seq-mean-token-mean" : "token-mean",
      correction: { level: "token", upper: 2, outside: "clamp" },
    };
    const machine = openMachine({ threads: 2 });
    const [tensors, engine] = [
      tensorUpdates("tensors", config, frozen),
      engineUpdates(machine, "engine", config, frozen),
    ];
    const expected = await twoSteps(tensors, learned, objective);
    const found = await twoSteps(engine, learned, objective);
    tensors.dispose();
    engine.dispose();
    expect(difference(found.losses, expected.losses)).toBeLessThan(2e-3);
    expect(difference(found.moments, expected.moments)).toBeLessThan(2e-3);
    expect(Math.max(...expected.moments.map(Math.abs))).toBeGreaterThan(1e-6);
  });

  it("that is PPO-clip by a constant is the update's own loss, beside a pull to the reference and a lesson", async () => {
    const hinted = SAMPLES.map((one, i) => (i === 1 ? { ...one, teacherPromptIds: [8, 9, 3, 3, 7] } : one));
    const changes = { distillationWeight: 0.7 };
    const own = await train(changes, hinted);
    const objective: Objective = { loss: { name: "ppo", ...CLIP }, aggregation: "constant" };
    const given = await train({ ...changes, objective }, hinted);
    const unhinted = await train({ ...changes, objective });
    expect(difference(unhinted.moved, own.moved)).toBeGreaterThan(0.05);
    expect(difference(given.moved, own.moved)).toBeLessThan(1e-3);
    expect(given.metrics.loss!).toBeCloseTo(own.metrics.loss!, 4);
    expect(Math.max(...own.moved.map(Math.abs))).toBeGreaterThan(1e-3);
  });

  it("moves the policy otherwise than PPO-clip once ratios leave 1", async () => {
    const ppo = await train({ objective: { loss: { name: "ppo", ...CLIP }, aggregation: "token-mean" } });
    const gspo = await train({ objective: { loss: LOSSES[3]!, aggregation: "seq-mean-token-mean" } });
    expect(difference(gspo.moved, ppo.moved)).toBeGreaterThan(0.05);
  });

  it("has denominators of the whole update, however it is cut into micro-batches", async () => {
    // 40 steps of 20 episodes: each half of the batch is two micro-batches.
    const many = Array.from({ length: 40 }, (_, i) =>
      sample(`e${i % 20}`, [1, 2, (i % 7) + 1], [4, 5, 6].slice(0, 1 + (i % 3)), [1, -0.5, 0.25].slice(0, 1 + (i % 3))),
    );
    const tokens = many.reduce((sum, { tokens }) => sum + tokens.ids.length, 0);
    const loss = { name: "ppo", ...CLIP } as const;
    const mean = await train({ klCoefficient: 0, objective: { loss, aggregation: "token-mean" } }, many);
    const constant = {
      klCoefficient: 0,
      lossDenominator: tokens,
      objective: { loss, aggregation: "constant" } as const,
    };
    expect(difference((await train(constant, many)).moved, mean.moved)).toBeLessThan(1e-3);
  });

  it("learns nothing from samples whose policy is too far away", async () => {
    const objective: Objective = {
      loss: { name: "ppo", ...CLIP },
      aggregation: "token-mean",
      correction: { level: "token", upper: 5, outside: "drop" },
    };
    const stale = SAMPLES.map((one) => ({
      ...one,
      tokens: { ...one.tokens, logProbs: one.tokens.ids.map(() => -30) },
    }));
    const still = await train({ klCoefficient: 0, objective }, stale);
    expect(still.moved.every((by) => by === 0)).toBe(true);
    const moved = await train({ klCoefficient: 0, objective });
    expect(moved.moved.some((by) => by !== 0)).toBe(true);
  });

  it("never sees a masked token", async () => {
    const poisoned = SAMPLES.map(({ tokens, advantages, ...rest }) => ({
      ...rest,
      tokens: { ...tokens, logProbs: tokens.logProbs.map((x, t) => (tokens.mask[t] ? x : Number.NaN)) },
      advantages: advantages.map((x, t) => (tokens.mask[t] ? x : Number.NaN)),
    }));
    const correction = { level: "sequence", upper: 2, outside: "clamp" } as const;
    const changes = { objective: { loss: LOSSES[4]!, aggregation: "token-mean", correction } as const };
    expect((await train(changes, poisoned)).moved).toEqual((await train(changes)).moved);
  });
});
