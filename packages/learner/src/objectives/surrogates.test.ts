import { describe, expect, it } from "vitest";
import { cispo } from "./cispo.js";
import { combinedAdvantages } from "./distillation.js";
import { dpo, ipo } from "./preference.js";
import { reinforce } from "./reinforce.js";
import { rlPlus } from "./rl-plus.js";
import { sapo } from "./sapo.js";
import { gspoToken, sequenceClip } from "./sequence-clip.js";
import { selectRewarded } from "./supervised.js";
import { topKDistillation } from "./top-k-distillation.js";
import { valueLoss } from "./value-loss.js";

/** One token of weight 1. */
const one = (newLogProb: number, oldLogProb: number, advantage: number) => ({
  newLogProbs: [[newLogProb]],
  oldLogProbs: [[oldLogProb]],
  advantages: [[advantage]],
  mask: [[1]],
  weights: [[1]],
});

describe("GSPO", () => {
  const logRatios = [0.1, -0.05, 0.2, 0];
  const row = (ratios: readonly number[], advantage: number) => ({
    newLogProbs: [ratios.map((x) => x - 1)],
    oldLogProbs: [ratios.map(() => -1)],
    mask: [ratios.map(() => 1)],
    weights: [ratios.map(() => 1 / ratios.length)],
    advantages: [advantage],
  });
  const wide = { clipLow: 0.2, clipHigh: 0.2, ratio: "geometric-mean" } as const;

  it("has one ratio for a row, e^.0625, and each token's share of its gradient", () => {
    const { sequenceRatios, loss, gradient } = sequenceClip(row(logRatios, 2), wide);
    expect(sequenceRatios[0]).toBeCloseTo(1.0644945, 7);
    expect(loss).toBeCloseTo(-2 * 1.0644945, 6);
    for (const slope of gradient[0]!) expect(slope).toBeCloseTo((-2 * 1.0644945) / 4, 6);
    expect(sequenceClip(row([0.2, 0, -0.05, 0.1], 2), wide).sequenceRatios[0]).toBeCloseTo(1.0644945, 7);
  });

  it("clips the whole row, on the side of the advantage", () => {
    expect(sequenceClip(row(logRatios, 2)).gradient).toEqual([[0, 0, 0, 0]]);
    expect(sequenceClip(row(logRatios, -2)).gradient[0]![0]).toBeGreaterThan(0);
    const tokens = { ...row(logRatios, 0), advantages: [[2, -2, 0, 0]] };
    const { gradient } = gspoToken(tokens);
    expect(gradient[0]![0]).toBe(0);
    expect(gradient[0]![1]).toBeCloseTo((2 * 1.0644945) / 4, 6);
  });

  it("leaves a row without sampled tokens out", () => {
    const empty = { ...row([0], 1), mask: [[0]], newLogProbs: [[Number.NaN]] };
    expect(sequenceClip(empty, wide)).toMatchObject({ loss: 0, gradient: [[0]] });
  });
});

describe("SAPO", () => {
  it("closes its gate smoothly, the faster for negative advantages", () => {
    // f'(ρ) = sech²(τ (ρ − 1)/2): by ρ and τ
    const slopeOver = (ratio: number, advantage: number) =>
      sapo(one(Math.log(ratio), 0, advantage)).gradient[0]![0]! / (-advantage * ratio);
    for (const [ratio, positive] of [
      [0.5, 0.94001],
      [1, 1],
      [1.2, 0.99007],
      [2, 0.78645],
      [4, 0.18071],
    ] as const)
      expect(slopeOver(ratio, 1)).toBeCloseTo(positive, 5);
    expect(slopeOver(2, -1)).toBeCloseTo(0.76811, 5);
    expect(slopeOver(4, -1)).toBeCloseTo(0.15761, 5);
  });
});

describe("CISPO", () => {
  it("clips the weight and keeps the gradient", () => {
    // ρ = 3, capped at 1.5: L = −1.5 · 2 · log π = 3 ln 2
    const { loss, gradient, clippedRatios } = cispo(one(-Math.LN2, -Math.LN2 - Math.log(3), 2), {
      clipLow: 1,
      clipHigh: 0.5,
    });
    expect(clippedRatios).toEqual([[1.5]]);
    expect(loss).toBeCloseTo(3 * Math.LN2, 12);
    expect(gradient).toEqual([[-3]]);
  });
});

describe("RL-PLUS", () => {
  it("weighs a demonstration by the mixture and by how unlikely the policy is to say it", () => {
    // π = .5, π_old = .4: r^m = 1 / (.6 + .5) = .90909; (1 − .5)^.5 = .70711; L = −.642824
    const batch = { ...one(Math.log(0.5), Math.log(0.4), 1), external: [true] };
    const { loss, gradient } = rlPlus(batch, { explorationGamma: 0.5, uniformProbability: 1 });
    expect(loss).toBeCloseTo(-0.642824, 6);
    expect(gradient[0]![0]).toBeCloseTo(-0.642824, 6);
    // Its own sample: −ρ = −1.25
    const own = rlPlus({ ...batch, external: [false] }, { explorationGamma: 0.5, uniformProbability: 1 });
    expect(own.loss).toBeCloseTo(-1.25, 12);
  });
});

describe("preferences", () => {
  const side = (logProb: number) => ({ newLogProbs: [[logProb, 9]], referenceLogProbs: [[-1, 0]], mask: [[1, 0]] });
  const pairs = { chosen: side(-0.5), rejected: side(-2) };

  it("by DPO follow the equation", () => {
    // h = .4 · (.5 − (−1)) = .6; L = log(1 + e^−.6) = .437488; slope −.4 σ(−.6) = −.141736
    const { loss, margins, chosenGradient, rejectedGradient } = dpo(pairs, { beta: 0.4, denominator: 1 });
    expect(margins[0]).toBeCloseTo(0.6, 12);
    expect(loss).toBeCloseTo(0.437488, 6);
    expect(chosenGradient[0]![0]).toBeCloseTo(-0.141736, 5);
    expect([chosenGradient[0]![1], rejectedGradient[0]![1]]).toEqual([0, 0]);
    expect(dpo({ chosen: side(-1e4), rejected: side(0) }, { beta: 1, denominator: 1 }).loss).toBeCloseTo(1e4, 6);
  });

  it("by IPO aim at a margin and not beyond", () => {
    // h = 1.5, aim 1 / (2 · .4) = 1.25: L = .0625, slope 2 · .25
    const { loss, chosenGradient } = ipo(pairs, { beta: 0.4, denominator: 1 });
    expect(loss).toBeCloseTo(0.0625, 12);
    expect(chosenGradient[0]![0]).toBeCloseTo(0.5, 12);
  });

  it("need as many chosen as rejected answers", () => {
    const none = { newLogProbs: [], referenceLogProbs: [], mask: [] };
    expect(() => dpo({ chosen: side(0), rejected: none }, { beta: 1, denominator: 1 })).toThrow("do not pair");
  });
});

describe("a teacher's likeliest tokens", () => {
  const of = (studentLogProbs: number[][], teacherLogProbs: number[][]) =>
    topKDistillation({ studentLogProbs, teacherLogProbs, mask: [1], weights: [1] });

  it("and a bin for the rest make a divergence", () => {
    // p = .5, q = .25: .5 ln 2 + .5 ln(.5/.75) = .143841; slope .5 (ln 2 − ln(2/3)) = .549306
    const { loss, gradient } = of([[Math.log(0.5)]], [[Math.log(0.25)]]);
    expect(loss).toBeCloseTo(0.143841, 6);
    expect(gradient[0]![0]).toBeCloseTo(0.549306, 6);
  });

  it("teach nothing to a student that agrees, even one that is sure", () => {
    expect(of([[Math.log(0.6), Math.log(0.3)]], [[Math.log(0.6), Math.log(0.3)]])).toMatchObject({ loss: 0 });
    expect(of([[0]], [[0]]).loss).toBe(0);
    expect(Number.isFinite(of([[0]], [[-5]]).loss)).toBe(true);
  });
});

it("a critic's value may not leap away from its target, and has no gradient where it did", () => {
  const critic = (target: number) =>
    valueLoss(
      { values: [[1]], oldValues: [[0.5]], returns: [[target]], mask: [[1]], weights: [[1]] },
      { valueClip: 0.2 },
    );
  // Clipped to .7. Target 0: max(1, .49)/2. Target 2: max(1, 1.69)/2.
  expect(critic(0)).toMatchObject({ loss: 0.5, gradient: [[1]], clipFraction: 0 });
  expect(critic(2).loss).toBeCloseTo(0.845, 12);
  expect(critic(2)).toMatchObject({ gradient: [[0]], clipFraction: 1 });
});

it("supervised training takes the trajectories that earned it, and no others into its denominator", () => {
  const mask = [[1, 0, 1], [1]];
  const selected = selectRewarded([1, 0.4], mask, 0.5);
  expect(selected.mask).toEqual([[1, 0, 1], [0]]);
  const newLogProbs = [[-1, 7, -3], [-9]];
  const weights = selected.mask.map((row) => row.map((kept) => kept / 2));
  // −(−1 − 3) / 2
  expect(reinforce({ newLogProbs, weights, ...selected })).toMatchObject({ loss: 2, gradient: [[-0.5, 0, -0.5], [0]] });
});

it("rewards and a teacher combine; a row without one keeps its rewards", () => {
  const batch = {
    advantages: [
      [1, 1],
      [2, 2],
    ],
    distillation: [
      [0.5, 9],
      [-7, -7],
    ],
    mask: [
      [1, 0],
      [1, 1],
    ],
  };
  const weights = { rewardWeight: 2, distillationWeight: 3 };
  expect(combinedAdvantages(batch, [true, false], weights)).toEqual([
    [3.5, 0],
    [4, 4],
  ]);
});
