import { beforeAll, describe, expect, it } from "vitest";
import { liveTensors, openBackend } from "../tensor/backend.js";
import { responseLogProbs } from "../tensor/policy-loss.js";
import { initialWeights, uploadWeights } from "../tensor/transformer.js";
import { PLAIN_UPDATE } from "../testing/plain-update.js";
import { TINY_CONFIG } from "../testing/tiny-config.js";
import type { PolicyWeights, TrainingSample, UpdateOptions, UpdateResult } from "../types.js";
import { createTrainer } from "./trainer.js";

beforeAll(async () => {
  await openBackend({ name: "wasm" });
});

const sample = (advantages: readonly number[], more: Partial<TrainingSample> = {}, mask = [1, 1]): TrainingSample => ({
  of: { episodeId: "e/0", stepIndex: 0 },
  policyVersion: "base",
  tokens: { promptIds: [1, 2, 3], ids: [4, 5], logProbs: [0, 0], mask, temperature: 1 },
  advantages,
  ...more,
});

const logProbs = async (weights: PolicyWeights, promptIds = [1, 2, 3]) =>
  (await responseLogProbs(uploadWeights(weights), TINY_CONFIG, [{ promptIds, ids: [4, 5], temperature: 1 }]))[0]!;

describe("an update", () => {
  const weights = initialWeights(TINY_CONFIG, 5);

  it("makes rewarded tokens likelier and punished ones less likely", async () => {
    const trainer = await createTrainer(TINY_CONFIG);
    const before = await logProbs(weights);
    const up = await trainer.update({ weights, reference: weights, samples: [sample([1, 1])], options: PLAIN_UPDATE });
    const down = await trainer.update({
      weights,
      reference: weights,
      samples: [sample([-1, -1])],
      options: PLAIN_UPDATE,
    });
    (await logProbs(up.weights)).forEach((now, t) => expect(now).toBeGreaterThan(before[t]!));
    (await logProbs(down.weights)).forEach((now, t) => expect(now).toBeLessThan(before[t]!));
  });

  it("is a function of its request, bit for bit, and leaves no tensor behind", async () => {
    const trainer = await createTrainer(TINY_CONFIG);
    const request = {
      weights,
      reference: weights,
      samples: [sample([1, -1])],
      options: { ...PLAIN_UPDATE, epochs: 2, klCoefficient: 0.1 },
    };
    const first = await trainer.update(request);
    const before = liveTensors();
    const second = await trainer.update(request);
    expect(liveTensors()).toBe(before);
    for (const [name, { data }] of first.weights) expect(second.weights.get(name)!.data).toEqual(data);
    const resumed = { ...request, weights: first.weights, optimizer: first.optimizer };
    expect((await trainer.update(resumed)).optimizer.get("step")!.data[0]).toBe(4);
  });

  it("gives a masked token no gradient at all, whatever stands on it", async () => {
    const trainer = await createTrainer(TINY_CONFIG);
    const run = async (poison: number) =>
      trainer.update({
        weights,
        reference: initialWeights(TINY_CONFIG, 6),
        samples: [sample([1, poison], { tokens: { ...sample([]).tokens, mask: [1, 0], logProbs: [0, poison] } })],
        options: { ...PLAIN_UPDATE, klCoefficient: 0.1 },
      });
    const [clean, poisoned] = [await run(0), await run(1e6)];
    for (const [name, { data }] of clean.weights) expect(poisoned.weights.get(name)!.data).toEqual(data);
  });

  it("pulls a hinted step towards what the policy says when it sees the hint, and no step without one", async () => {
    const trainer = await createTrainer(TINY_CONFIG);
    const options = { ...PLAIN_UPDATE, distillationWeight: 1 };
    const [student, teacher] = [await logProbs(weights), await logProbs(weights, [1, 2, 3, 9, 9])];
    const hinted = sample([0, 0], { teacherPromptIds: [1, 2, 3, 9, 9] });
    const taught = await logProbs(
      (await trainer.update({ weights, reference: weights, samples: [hinted], options })).weights,
    );
    // Both tokens share weights: what must move the teacher's way is their log-probability weighed by the teacher's difference.
    const moved = taught.reduce((sum, now, t) => sum + (now - student[t]!) * (teacher[t]! - student[t]!), 0);
    expect(moved).toBeGreaterThan(0);
    const untaught = await trainer.update({ weights, reference: weights, samples: [sample([0, 0])], options });
    expect(await logProbs(untaught.weights)).toEqual(student);
  });

  it("stays near the reference when asked to", async () => {
    const trainer = await createTrainer(TINY_CONFIG);
    const run = async (klCoefficient: number) => {
      const options = { ...PLAIN_UPDATE, epochs: 20, klCoefficient, clipHigh: 10 };
      return (await trainer.update({ weights, reference: weights, samples: [sample([1, 1])], options })).metrics.kl!;
    };
    expect(await run(10)).toBeLessThan((await run(0)) / 2);
  });

  it("steps as far as the two halves of a batch agree, and stays where they contradict each other", async () => {
    const trainer = await createTrainer(TINY_CONFIG);
    const run = async (second: number, stepSize: UpdateOptions["stepSize"]) => {
      const samples = [sample([1, 1]), sample([second, second], { of: { episodeId: "e/1", stepIndex: 0 } })];
      const options = { ...PLAIN_UPDATE, stepSize };
      const { metrics, ...result } = await trainer.update({ weights, reference: weights, samples, options });
      const name = "model.layers.0.mlp.down_proj.weight";
      const moved = result.weights.get(name)!.data.some((value, i) => value !== weights.get(name)!.data[i]);
      return { share: metrics.signalShare!, moved, carried: result.optimizer.get("signal_share")!.data };
    };
    // Gradients g and g: ρ = 1, after the prior .5263 − .5007, and of the whole batch 2 · .0256 / 1.0256.
    // Gradients g and −½g: −½ / ½ (1 + ¼) = −.8.
    const agreed = await run(1, "noise-scale");
    expect(agreed).toMatchObject({ share: expect.closeTo(0.0499, 3), moved: true });
    expect(agreed.carried[0]).toBeCloseTo(1, 5);
    const contradicted = await run(-0.5, "noise-scale");
    expect(contradicted).toMatchObject({ share: 0, moved: false });
    expect(contradicted.carried[0]).toBeCloseTo(-0.8, 5);
    expect(await run(-0.5, "fixed")).toMatchObject({ share: 0, moved: true });
  });

  it("takes the learning rate from where the optimizer's steps stand in the schedule", async () => {
    const trainer = await createTrainer(TINY_CONFIG);
    const run = async (options: UpdateOptions, before?: UpdateResult) =>
      trainer.update({ weights, reference: weights, samples: [sample([1, 1])], ...before, options });
    const schedule = { shape: "linear", warmupSteps: 0, totalSteps: 8, finalShare: 0 } as const;
    const first = await run({ ...PLAIN_UPDATE, epochs: 2, schedule });
    expect(first.optimizer.get("step")!.data[0]).toBe(2);
    // The third and fourth step of eight: 1 − 2/8 and 1 − 3/8 of the rate.
    const second = await run({ ...PLAIN_UPDATE, schedule }, first);
    const alike = await run({ ...PLAIN_UPDATE, learningRate: PLAIN_UPDATE.learningRate * 0.75 }, first);
    for (const [name, { data }] of alike.weights) expect(second.weights.get(name)!.data).toEqual(data);
    const third = await run({ ...PLAIN_UPDATE, schedule }, second);
    const alsoAlike = await run({ ...PLAIN_UPDATE, learningRate: PLAIN_UPDATE.learningRate * 0.625 }, second);
    for (const [name, { data }] of alsoAlike.weights) expect(third.weights.get(name)!.data).toEqual(data);
  });

  it("decays matrices when asked to, and nothing else", async () => {
    const trainer = await createTrainer(TINY_CONFIG);
    const options = { ...PLAIN_UPDATE, weightDecay: 0.5 };
    const still = await trainer.update({ weights, reference: weights, samples: [sample([0, 0])], options });
    // No advantage, no gradient: w (1 − .01 · .5)
    for (const [name, { data, shape }] of still.weights) {
      const share = shape.length > 1 ? 0.995 : 1;
      data.forEach((value, i) => expect(value).toBeCloseTo(share * weights.get(name)!.data[i]!, 6));
    }
  });

  it("refuses a loss that is not finite and says so", async () => {
    const trainer = await createTrainer(TINY_CONFIG);
    const update = trainer.update({
      weights,
      reference: weights,
      samples: [sample([Number.NaN, 1])],
      options: PLAIN_UPDATE,
    });
    await expect(update).rejects.toMatchObject({ code: "learner/non-finite-loss" });
  });
});
