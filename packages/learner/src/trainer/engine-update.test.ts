import { beforeAll, describe, expect, it } from "vitest";
import { openMachine } from "../engine/machine.js";
import { openBackend } from "../tensor/backend.js";
import type { PolicyLossRow } from "../tensor/policy-loss.js";
import { ARCHITECTURES, drawnWeights } from "../testing/engine-cases.js";
import type { Teacher } from "../types.js";
import { engineUpdates } from "./engine-update.js";
import type { PreparedBatch, UpdateEngine } from "./policy-update.js";
import { tensorUpdates } from "./tensor-update.js";

beforeAll(async () => {
  await openBackend({ name: "wasm" });
});

const ROWS: readonly PolicyLossRow[] = [
  { promptIds: [1, 2, 3], ids: [4, 5, 6, 7], mask: [1, 0, 1, 1], temperature: 0.7, advantages: [1, 9, -0.5, 2] },
  {
    promptIds: [8, 9],
    ids: [10, 1, 2],
    mask: [1, 1, 1],
    temperature: 1,
    advantages: [-1, 0.3, 0],
    teacherPromptIds: [8, 9, 3, 3, 7],
  },
  { promptIds: [2], ids: [3], mask: [0], temperature: 1, advantages: [0], teacherPromptIds: [2, 5] },
];
const ADAM = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1 };
const OPTIONS = {
  clipLow: 0.2,
  clipHigh: 0.25,
  klCoefficient: 0.3,
  distillationWeight: 0.7,
  distillationClip: 0.8,
  denominator: 6,
  teacher: "policy" as Teacher,
};

/** Two steps on the rows, so that ratios leave 1 and clips act, in micro-batches as given; all numbers on the way. */
async function twoSteps(
  engine: UpdateEngine,
  name: keyof typeof ARCHITECTURES,
  options: typeof OPTIONS,
  parts: readonly (readonly PolicyLossRow[])[] = [ROWS],
) {
  const config = ARCHITECTURES[name]!;
  const [{ learned }, other] = [drawnWeights(config, 3), drawnWeights(config, 4).learned];
  const update = engine.open({ weights: learned, reference: other }, ADAM);
  const batches: PreparedBatch[] = [];
  for (const rows of parts) {
    const teacher = options.distillationWeight > 0 ? options.teacher : undefined;
    batches.push(await update.prepare(rows, { teacher }));
  }
  const numbers: number[] = [];
  for (let step = 0; step < 2; step++) {
    let loss = 0;
    for (const batch of batches) loss += await batch.accumulate(options, 0);
    numbers.push(loss, await update.step(2e-2 / (step + 1), 10));
  }
  const lessons: number[] = [];
  for (const batch of batches) {
    const counted = (values: Float32Array) => [...values].filter((_, at) => batch.counted[at] === 1);
    const statistics = await batch.statistics();
    const perToken = [batch.oldLogProbs, statistics.logProbs, statistics.kl, statistics.entropy].map(counted);
    perToken[0]!.forEach((_, at) => numbers.push(...perToken.map((values) => values[at]!)));
    if (batch.lesson !== undefined) lessons.push(...counted(batch.lesson.weight), ...counted(batch.lesson.delta));
  }
  const moments = [...(await update.optimizer())].flatMap(([name, { data }]) =>
    name.endsWith("exp_avg") ? [...data] : [],
  );
  const weights = [...(await update.weights()).values()].flatMap(({ data }) => [...data]);
  for (const batch of batches) batch.dispose();
  update.dispose();
  return { numbers, lessons, moments, weights };
}

/** Expects gradients, and the weights that come of them, to be the same to float32 tolerance. */
function expectAlike(found: Awaited<ReturnType<typeof twoSteps>>, expected: typeof found): void {
  expect(found.numbers.length).toBe(expected.numbers.length);
  found.numbers.forEach((value, i) => expect(value).toBeCloseTo(expected.numbers[i]!, 3));
  const size = expected.moments.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  found.moments.forEach((value, i) => expect(Math.abs(value - expected.moments[i]!)).toBeLessThan(1e-3 * size));
  // A weight whose gradient is all but 0 moves by its sign: the mean tells, not the greatest.
  const apart = found.weights.reduce((sum, value, i) => sum + Math.abs(value - expected.weights[i]!), 0);
  expect(apart / found.weights.length).toBeLessThan(1e-4);
}

describe.each(Object.keys(ARCHITECTURES))("an update of %s", (name) => {
  const config = ARCHITECTURES[name]!;
  const { frozen } = drawnWeights(config, 3);

  it.each([
    ["with a lesson and a pull to the reference", OPTIONS],
    ["with a lesson of the reference", { ...OPTIONS, teacher: "reference" as Teacher }],
    ["of rewards alone", { ...OPTIONS, klCoefficient: 0, distillationWeight: 0 }],
  ])("%s comes out alike on the engine and on TensorFlow.js, and leaves no block behind", async (_what, options) => {
    const machine = openMachine({ threads: 2 });
    const tensors = tensorUpdates("tensors", config, frozen);
    const engine = engineUpdates(machine, "engine", config, frozen);
    const expected = await twoSteps(tensors, name, options);
    const before = machine.arena.allocated;
    const found = await twoSteps(engine, name, options);
    expect(machine.arena.allocated).toBe(before);
    tensors.dispose();
    engine.dispose();
    expectAlike(found, expected);
    expect(found.lessons.length).toBe(expected.lessons.length);
    found.lessons.forEach((value, i) => expect(value).toBeCloseTo(expected.lessons[i]!, 3));
  });

  it("is the same, bit for bit, when what the reference says is not held but computed again", async () => {
    const [one, two] = [ROWS.slice(0, 1), ROWS.slice(1)];
    // 3 counted tokens of the first part fit, those of the second do not.
    const runs = [2 ** 29, 4 * 3 * config.vocab_size, 0].map(async (heldBytes) => {
      const machine = openMachine({ threads: 1 });
      const engine = engineUpdates(machine, "engine", config, frozen, heldBytes);
      const before = machine.arena.allocated;
      const outcome = await twoSteps(engine, name, OPTIONS, [one, two]);
      expect(machine.arena.allocated).toBe(before);
      engine.dispose();
      return outcome;
    });
    const [held, some, none] = await Promise.all(runs);
    expect(some).toEqual(held);
    expect(none).toEqual(held);
  });

  it("is the same in micro-batches as in one batch, on the engine and on TensorFlow.js", async () => {
    const tensors = tensorUpdates("tensors", config, frozen);
    const engine = engineUpdates(openMachine({ threads: 2 }), "engine", config, frozen);
    for (const updates of [engine, tensors]) {
      const whole = await twoSteps(updates, name, OPTIONS);
      const cut = await twoSteps(
        updates,
        name,
        OPTIONS,
        ROWS.map((row) => [row]),
      );
      expectAlike(cut, whole);
      updates.dispose();
    }
  });
});
