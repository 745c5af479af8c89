import { createRandom, mixSeed } from "@afterstate/core";
import { describe, expect, it } from "vitest";
import { ucb1 } from "./ucb1.js";

describe("ucb1", () => {
  it("gives the hand-worked bound", () => {
    // 0.5 + √2 · √(ln 100 / 25) = 0.5 + √(2 · 4.605170 / 25) = 0.5 + √0.368414 = 0.5 + 0.606971
    expect(ucb1(0.5, 25, 100)).toBeCloseTo(1.106971, 6);
    // 0.2 + 0 · … = 0.2
    expect(ucb1(0.2, 3, 10, 0)).toBe(0.2);
  });

  it("puts an arm that was never played before all others", () => {
    expect(ucb1(0, 0, 10)).toBeGreaterThan(ucb1(1, 1, 10));
  });
});

const SEEDS = Array.from({ length: 50 }, (_, index) => index);

/** Σ Δ of the arms played, after 1,000 and after 10,000 plays of Bernoulli arms. */
function regret(probabilities: readonly number[], seed: number, choose: typeof ucb1 | "uniform"): [number, number] {
  const random = createRandom(mixSeed("bandit", seed));
  const best = Math.max(...probabilities);
  const wins = probabilities.map(() => 0);
  const plays = probabilities.map(() => 0);
  let [lost, after1000] = [0, 0];
  for (let play = 0; play < 10_000; play++) {
    let arm = 0;
    if (choose === "uniform") arm = random.integer(probabilities.length);
    else {
      const scores = probabilities.map((_, index) => choose(wins[index]! / (plays[index]! || 1), plays[index]!, play));
      arm = scores.indexOf(Math.max(...scores));
    }
    plays[arm]!++;
    if (random.next() < probabilities[arm]!) wins[arm]!++;
    lost += best - probabilities[arm]!;
    if (play === 999) after1000 = lost;
  }
  return [after1000, lost];
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** 8 Σ ln n / Δ_i + (1 + π²/3) Σ Δ_i: Auer et al. 2002, Theorem 1. */
function auerBound(probabilities: readonly number[], plays: number): number {
  const gaps = probabilities.map((probability) => Math.max(...probabilities) - probability).filter((gap) => gap > 0);
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  return 8 * sum(gaps.map((gap) => Math.log(plays) / gap)) + (1 + Math.PI ** 2 / 3) * sum(gaps);
}

/** Σ Δ_i / KL(p_i, p*) · ln n: no consistent strategy has less regret in the limit. Lai and Robbins, 1985. */
function laiRobbins(probabilities: readonly number[], plays: number): number {
  const best = Math.max(...probabilities);
  const divergence = (p: number) => p * Math.log(p / best) + (1 - p) * Math.log((1 - p) / (1 - best));
  return probabilities
    .filter((probability) => probability < best)
    .reduce((sum, probability) => sum + ((best - probability) / divergence(probability)) * Math.log(plays), 0);
}

describe.each([
  { arms: [0.9, 0.6], at1000: 23.7, at10000: 47.7, bound: 246.9, uniform: 1500 },
  { arms: [0.9, 0.8, 0.8, 0.7, 0.5], at1000: 75.4, at10000: 257.6, bound: 2029.7, uniform: 1600 },
])("UCB1 on Bernoulli arms $arms", ({ arms, at1000, at10000, bound, uniform }) => {
  const regrets = SEEDS.map((seed) => regret(arms, seed, ucb1));
  const [early, late] = [mean(regrets.map(([first]) => first)), mean(regrets.map(([, last]) => last))];

  it("has the regret of the reference run within 15 %", () => {
    expect(Math.abs(early / at1000 - 1)).toBeLessThan(0.15);
    expect(Math.abs(late / at10000 - 1)).toBeLessThan(0.15);
  });

  it("stays below the bound in every run, and grows slower than in proportion to the plays", () => {
    expect(auerBound(arms, 10_000)).toBeCloseTo(bound, 1);
    for (const [, last] of regrets) expect(last).toBeLessThan(bound);
    expect(late / early).toBeLessThan(4);
  });

  it("is not better than a strategy that does not know the arms can be", () => {
    expect(late).toBeGreaterThan(0.5 * laiRobbins(arms, 10_000));
  });

  it("beats playing at random, whose regret is the mean gap a play", () => {
    const [first] = SEEDS.map((seed) => regret(arms, seed, "uniform")[1]);
    expect(first! / uniform).toBeGreaterThan(0.9);
    expect(first! / uniform).toBeLessThan(1.1);
    expect(late).toBeLessThan(uniform / 4);
  });
});
