import { beforeAll, describe, expect, it } from "vitest";
import { openMachine } from "../engine/machine.js";
import type { Objective } from "../objectives/objective.js";
import { dpo, ipo } from "../objectives/preference.js";
import type { Ragged } from "../objectives/ragged.js";
import { rlPlus } from "../objectives/rl-plus.js";
import { topKDistillation } from "../objectives/top-k-distillation.js";
import { openBackend } from "../tensor/backend.js";
import { responseLogProbs } from "../tensor/policy-loss.js";
import { uploadWeights } from "../tensor/transformer.js";
import { drawnWeights } from "../testing/engine-cases.js";
import { TINY_CONFIG } from "../testing/tiny-config.js";
import type { PolicyWeights, TrainingSample } from "../types.js";
import { engineUpdates } from "./engine-update.js";
import { objectiveTerms } from "./objective-terms.js";
import type { UpdateEngine } from "./policy-update.js";
import { tensorUpdates } from "./tensor-update.js";

const ADAM = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0 };
const WEIGHTS = drawnWeights(TINY_CONFIG, 3).learned;
const REFERENCE = drawnWeights(TINY_CONFIG, 4).learned;
const CLIP = { clipLow: 0.2, clipHigh: 0.2 };

beforeAll(async () => {
  await openBackend({ name: "wasm" });
});

/** A step whose second token is an observation. */
const step = (
  id: string,
  stepIndex: number,
  ids: readonly number[],
  more: Partial<TrainingSample> = {},
): TrainingSample => ({
  of: { episodeId: id, stepIndex },
  policyVersion: "base",
  tokens: {
    promptIds: [1, 2, 3 + stepIndex],
    ids,
    logProbs: ids.map(() => -2),
    mask: ids.map((_, t) => (t === 1 ? 0 : 1)),
    temperature: 1,
  },
  advantages: ids.map((_, t) => (id === "worse" ? -0.7 : 0.5 + t)),
  ...more,
});
// Each side is two steps, and the rows of both are mixed.
const PAIRED = [
  step("worse", 0, [4, 5, 6], { pair: { id: "p", chosen: false } }),
  step("better", 0, [7, 8], { pair: { id: "p", chosen: true } }),
  step("better", 1, [9, 10, 1, 2], { pair: { id: "p", chosen: true } }),
  step("worse", 1, [3], { pair: { id: "p", chosen: false } }),
];
const SHOWN = [
  step("own", 0, [4, 5, 6]),
  step("shown", 0, [7, 8, 9], { demonstration: true }),
  step("worse", 1, [3, 1, 2]),
];
const TEACHER = [
  [4, 7],
  [1, 2],
  [9, 0],
];
const TAUGHT = [
  step("a", 0, [4, 5, 6], {
    advantages: [0, 0, 0],
    teacherTopK: { ids: TEACHER, logProbs: TEACHER.map(() => [Math.log(0.5), Math.log(0.3)]) },
  }),
];

/** log π of rows under some weights, at the tokens that count, by TensorFlow.js. */
async function scored(weights: PolicyWeights, samples: readonly TrainingSample[]): Promise<Ragged> {
  const all = await responseLogProbs(
    uploadWeights(weights),
    TINY_CONFIG,
    samples.map(({ tokens }) => tokens),
  );
  return all.map((row, i) => row.filter((_, t) => samples[i]!.tokens.mask[t] === 1));
}
const ones = (rows: Ragged) => rows.map((row) => row.map(() => 1));
const countedOf = (samples: readonly TrainingSample[]) =>
  samples.map(({ tokens, advantages }) => advantages.filter((_, t) => tokens.mask[t] === 1));

/** A preference in float64. */
async function preferenceAt(weights: PolicyWeights, of: typeof dpo | typeof ipo) {
  const [now, reference] = [await scored(weights, PAIRED), await scored(REFERENCE, PAIRED)];
  const side = (places: readonly number[]) => {
    const joined = (rows: Ragged) => [places.flatMap((row) => rows[row]!)];
    return { newLogProbs: joined(now), referenceLogProbs: joined(reference), mask: joined(ones(now)) };
  };
  return of({ chosen: side([1, 2]), rejected: side([0, 3]) }, { beta: 0.3, denominator: 1 });
}

/** RL-PLUS in float64, with the policy of the samples fixed. */
async function rlPlusAt(weights: PolicyWeights, explorationGamma: number) {
  const [now, old] = [await scored(weights, SHOWN), await scored(WEIGHTS, SHOWN)];
  const mask = ones(now);
  return rlPlus(
    {
      newLogProbs: now,
      oldLogProbs: old,
      advantages: countedOf(SHOWN),
      mask,
      weights: mask.map((row) => row.map(() => 1 / 6)),
      external: [false, true, false],
    },
    { explorationGamma, uniformProbability: 1 },
  );
}

/** Top-K distillation in float64, each token scored by itself. */
async function topKAt(weights: PolicyWeights) {
  const { tokens, teacherTopK } = TAUGHT[0]!;
  const { promptIds, ids, mask } = tokens;
  const alternatives = teacherTopK!.ids.map((known, t) =>
    known.map((id) => ({ promptIds: [...promptIds, ...ids.slice(0, t)], ids: [id], temperature: 1 })),
  );
  const studentLogProbs: number[][] = [];
  for (const rows of alternatives)
    studentLogProbs.push((await responseLogProbs(uploadWeights(weights), TINY_CONFIG, rows)).map(([x]) => x!));
  return topKDistillation({
    studentLogProbs,
    teacherLogProbs: teacherTopK!.logProbs,
    mask,
    weights: mask.map(() => 1 / 4),
  });
}

/** Loss and gradient of an update's first step: with these moments its mean is a tenth of the gradient. */
async function first(engine: UpdateEngine, samples: readonly TrainingSample[], objective: Objective | undefined) {
  const update = engine.open({ weights: WEIGHTS, reference: REFERENCE }, ADAM);
  const rows = samples.map(({ tokens, ...rest }) => ({ ...tokens, ...rest }));
  const batch = await update.prepare(rows, { teacher: objective === undefined ? "policy" : undefined });
  const evaluated = objective && (await objectiveTerms([{ samples, batch }], objective, 4, true));
  const options = { ...CLIP, klCoefficient: 0, distillationWeight: 1, distillationClip: 50, denominator: 4 };
  const loss = await batch.accumulate(options, 0, evaluated?.terms[0]);
  await update.step(1e-3, 1e9);
  const gradient = new Map(
    [...(await update.optimizer())].flatMap(([name, { data }]) =>
      name.endsWith(".exp_avg") ? [[name.slice(0, -".exp_avg".length), data.map((m) => m * 10)] as const] : [],
    ),
  );
  const term = evaluated?.terms[0];
  const slopes = term === undefined ? [] : [...term.slopes].filter((_, i) => batch.counted[i] !== 0);
  batch.dispose();
  update.dispose();
  return { loss: evaluated?.loss ?? loss, gradient, slopes };
}

async function onEngine<T>(run: (engine: UpdateEngine) => Promise<T>): Promise<T> {
  const engine = engineUpdates(openMachine({ threads: 1 }), "engine", TINY_CONFIG, undefined);
  try {
    return await run(engine);
  } finally {
    engine.dispose();
  }
}

type Gradient = ReadonlyMap<string, Float32Array>;
const normOf = (gradient: Gradient) =>
  Math.sqrt([...gradient.values()].reduce((sum, data) => sum + data.reduce((s, x) => s + x * x, 0), 0));

/** (L(w + εg/|g|) − L(w − εg/|g|)) / 2ε, which is |g| where g is the gradient. */
async function alongGradient(gradient: Gradient, loss: (weights: PolicyWeights) => Promise<number>): Promise<number> {
  const epsilon = 0.005;
  const moved = (sign: 1 | -1): PolicyWeights =>
    new Map(
      [...WEIGHTS].map(([name, { shape, data }]) => {
        const slope = gradient.get(name)!;
        return [name, { shape, data: data.map((x, i) => x + (sign * epsilon * slope[i]!) / normOf(gradient)) }];
      }),
    );
  return ((await loss(moved(1))) - (await loss(moved(-1)))) / (2 * epsilon);
}

describe("losses of more than one row", () => {
  it.each([
    ["dpo", dpo],
    ["ipo", ipo],
  ] as const)("%s compares whole trajectories, step by step and observation by observation", async (name, formula) => {
    const objective: Objective = { loss: { name, beta: 0.3 }, aggregation: "token-mean" };
    const expected = await preferenceAt(WEIGHTS, formula);
    const { loss, gradient, slopes } = await onEngine((engine) => first(engine, PAIRED, objective));
    expect(loss).toBeCloseTo(expected.loss, 4);
    // The rows are worse, better, better, worse: 2 + 1 + 3 + 1 tokens count.
    const [better, worse] = [expected.chosenGradient[0]!, expected.rejectedGradient[0]!];
    for (const [i, slope] of [...worse.slice(0, 2), ...better, ...worse.slice(2)].entries())
      expect(slopes[i]).toBeCloseTo(slope, 4);
    expect(slopes.length).toBe(7);
    const along = await alongGradient(gradient, async (weights) => (await preferenceAt(weights, formula)).loss);
    expect(along / normOf(gradient)).toBeCloseTo(1, 2);
    expect(normOf(gradient)).toBeGreaterThan(0.01);
  });

  it("rl-plus weighs demonstrations otherwise than what the policy sampled", async () => {
    const of = (explorationGamma: number): Objective => ({
      loss: { name: "rl-plus", explorationGamma, uniformProbability: 1 },
      aggregation: "token-mean",
      // Nobody knows how likely a demonstration was: the correction leaves it alone, and clamps what was sampled at e^−2 far from it.
      correction: { level: "token", lower: 1, upper: 1.0000001, outside: "clamp" },
    });
    const { slopes } = await onEngine((engine) => first(engine, SHOWN, of(0.5)));
    const expected = (await rlPlusAt(WEIGHTS, 0.5)).gradient.flat();
    expect(slopes.length).toBe(6);
    for (const [i, slope] of expected.entries()) expect(slopes[i]).toBeCloseTo(slope, 4);
    // With γ = 0 nothing in the loss is held constant, and its gradient is that of its value.
    const { gradient } = await onEngine((engine) => first(engine, SHOWN, of(0)));
    const along = await alongGradient(gradient, async (weights) => (await rlPlusAt(weights, 0)).loss);
    expect(along / normOf(gradient)).toBeCloseTo(1, 2);
    const warm = SHOWN.map((one) => ({ ...one, tokens: { ...one.tokens, temperature: 0.7 } }));
    await expect(onEngine((engine) => first(engine, warm, of(0)))).rejects.toThrow(/temperature 0.7/);
  });

  it("distillation from the K likeliest tokens of a teacher has the gradient of its divergence over K + 1 bins", async () => {
    const { gradient } = await onEngine((engine) => first(engine, TAUGHT, undefined));
    const along = await alongGradient(gradient, async (weights) => (await topKAt(weights)).loss);
    expect(along / normOf(gradient)).toBeCloseTo(1, 2);
    expect(normOf(gradient)).toBeGreaterThan(0.01);
  });

  it.each([
    ["dpo", PAIRED, { loss: { name: "dpo", beta: 0.3 }, aggregation: "token-mean" }],
    [
      "rl-plus",
      SHOWN,
      { loss: { name: "rl-plus", explorationGamma: 0.5, uniformProbability: 1 }, aggregation: "token-mean" },
    ],
    ["a teacher of K tokens", TAUGHT, undefined],
  ] as const)("%s is alike on the engine and on TensorFlow.js", async (_, samples, objective) => {
    const found = await onEngine((engine) => first(engine, samples, objective));
    const tensors = tensorUpdates("tensors", TINY_CONFIG, undefined);
    const expected = await first(tensors, samples, objective);
    tensors.dispose();
    expect(found.loss).toBeCloseTo(expected.loss, 4);
    const size = normOf(expected.gradient);
    for (const [name, data] of expected.gradient)
      for (const [i, x] of data.entries())
        expect(Math.abs(found.gradient.get(name)![i]! - x) / size).toBeLessThan(2e-3);
  });

  it("needs both sides of every pair", async () => {
    const objective: Objective = { loss: { name: "dpo", beta: 0.3 }, aggregation: "token-mean" };
    await expect(onEngine((engine) => first(engine, PAIRED.slice(0, 1), objective))).rejects.toThrow(/one side alone/);
    await expect(onEngine((engine) => first(engine, SHOWN, objective))).rejects.toThrow(/sample 0 has none/);
  });

  it("never sees a masked token", async () => {
    const objective: Objective = { loss: { name: "dpo", beta: 0.3 }, aggregation: "token-mean" };
    const poison = (samples: readonly TrainingSample[]) =>
      samples.map(({ tokens, teacherTopK, ...rest }) => ({
        ...rest,
        tokens: { ...tokens, logProbs: tokens.logProbs.map((x, t) => (tokens.mask[t] ? x : Number.NaN)) },
        ...(teacherTopK && {
          teacherTopK: { ...teacherTopK, logProbs: teacherTopK.logProbs.map((x, t) => (tokens.mask[t] ? x : [9, 9])) },
        }),
      }));
    for (const [samples, of] of [
      [PAIRED, objective],
      [TAUGHT, undefined],
    ] as const) {
      const plain = await onEngine((engine) => first(engine, samples, of));
      expect(await onEngine((engine) => first(engine, poison(samples), of))).toEqual(plain);
    }
  });
});
