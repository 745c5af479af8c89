import { beforeAll, describe, expect, it } from "vitest";
import { openMachine } from "../engine/machine.js";
import { openBackend } from "../tensor/backend.js";
import type { PolicyLossRow } from "../tensor/policy-loss.js";
import { ARCHITECTURES, drawnWeights } from "../testing/engine-cases.js";
import { engineUpdates } from "./engine-update.js";
import type { UpdateEngine } from "./policy-update.js";
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
const OPTIONS = {
  clipLow: 0.2,
  clipHigh: 0.25,
  klCoefficient: 0.3,
  distillationWeight: 0.7,
  distillationClip: 0.8,
  denominator: 6,
};

/** Two steps on one batch, so that ratios leave 1 and clips act; all numbers on the way. */
async function twoSteps(engine: UpdateEngine, name: keyof typeof ARCHITECTURES, options: typeof OPTIONS) {
  const config = ARCHITECTURES[name]!;
  const [{ learned }, other] = [drawnWeights(config, 3), drawnWeights(config, 4).learned];
  const update = engine.open({ weights: learned, reference: other });
  const batch = await update.prepare(ROWS, { teach: options.distillationWeight > 0 });
  const losses: number[] = [];
  const norms: number[] = [];
  for (let step = 0; step < 2; step++) {
    losses.push(await batch.accumulate(options, 0));
    norms.push(await update.step(2e-2, 10));
  }
  const statistics = await batch.statistics();
  const counted = (values: Float32Array) => [...values].filter((_, at) => batch.counted[at] === 1);
  const lesson = batch.lesson && [...counted(batch.lesson.weight), ...counted(batch.lesson.delta)];
  const numbers = [
    ...losses,
    ...norms,
    ...counted(batch.oldLogProbs),
    ...(lesson ?? []),
    ...[statistics.logProbs, statistics.kl, statistics.entropy].flatMap(counted),
  ];
  const moments = [...(await update.optimizer())].flatMap(([name, { data }]) =>
    name.endsWith("exp_avg") ? [...data] : [],
  );
  batch.dispose();
  update.dispose();
  return { numbers, moments };
}

describe.each(Object.keys(ARCHITECTURES))("an update of %s", (name) => {
  const config = ARCHITECTURES[name]!;
  const { frozen } = drawnWeights(config, 3);

  it.each([
    ["with a lesson and a pull to the reference", OPTIONS],
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
    expect(found.numbers.length).toBe(expected.numbers.length);
    found.numbers.forEach((value, i) => expect(value).toBeCloseTo(expected.numbers[i]!, 3));
    const size = expected.moments.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    found.moments.forEach((value, i) => expect(Math.abs(value - expected.moments[i]!)).toBeLessThan(1e-3 * size));
  });
});
