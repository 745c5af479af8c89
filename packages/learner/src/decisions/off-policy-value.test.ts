import { createRandom, mixSeed } from "@afterstate/core";
import { describe, expect, it } from "vitest";
import { drawAlternative, inverseGapProbabilities } from "./inverse-gap.js";
import { doublyRobust, inversePropensity, selfNormalised, type WeighedChoice } from "./off-policy-value.js";
import { aged, emptyRidge, expectedReward, withReward } from "./ridge.js";

const choice = (reward: number, weight: number, expected: number, expectedOfPolicy: number, cluster: string) =>
  ({ reward, weight, expected, expectedOfPolicy, cluster }) satisfies WeighedChoice;

describe("off-policy estimates", () => {
  // Three choices of one of two alternatives, π always takes a; propensities of what was taken: a .5, b .5, a .25.
  const choices = [choice(1, 2, 0.5, 0.5, "1"), choice(-1, 0, -0.5, 0.5, "2"), choice(0.5, 4, 0, 0, "3")];

  it("by inverse propensity have the hand-worked value and interval", () => {
    // w r = 2, 0, 2: mean 4/3; deviations 2/3, −4/3, 2/3: squares 24/9; s² = 3/2 · 24/9 / 9 = .4444, s = .6667
    const { value, lift } = inversePropensity(choices);
    expect(value.value).toBeCloseTo(4 / 3, 12);
    expect([value.low, value.high]).toEqual([
      expect.closeTo(4 / 3 - 1.96 * (2 / 3)),
      expect.closeTo(4 / 3 + 1.96 * (2 / 3)),
    ]);
    // (w − 1) r = 1, 1, 1.5
    expect(lift.value).toBeCloseTo(3.5 / 3, 12);
  });

  it("normalised by their weights have the hand-worked value and interval", () => {
    // Σ w r / Σ w = 4/6; influence = 2/3 + w (r − 2/3) / 2 = 2/3 + (1/3, 0, −1/3): squares 2/9; s² = 3/2 · 2/9 / 9 = 1/27
    const { value } = selfNormalised(choices);
    expect(value.value).toBeCloseTo(2 / 3, 12);
    expect(value.high).toBeCloseTo(2 / 3 + 1.96 * Math.sqrt(1 / 27), 12);
  });

  it("made doubly robust have the hand-worked value", () => {
    // .5 + 2 (1 − .5) = 1.5; .5 + 0 = .5; 0 + 4 (.5 − 0) = 2: mean 4/3; lift: .5, 1.5, 1.5: mean 3.5/3
    const { value, lift } = doublyRobust(choices);
    expect([value.value, lift.value]).toEqual([expect.closeTo(4 / 3, 12), expect.closeTo(3.5 / 3, 12)]);
  });

  it("know that what happened in one session is no independent evidence", () => {
    // Two sessions, each with two equal choices: deviations ±.5 add to ±1 a session: s² = 2/1 · 2 / 16 = .25; apart: 4/3 · 1 / 16 = .0833
    const twice = [1, 1, 0, 0].map((reward, i) => choice(reward, 1, 0, 0, `${i >> 1}`));
    const apart = twice.map((one, i) => ({ ...one, cluster: `${i}` }));
    expect(inversePropensity(twice).value.high).toBeCloseTo(0.5 + 1.96 * 0.5, 12);
    expect(inversePropensity(apart).value.high).toBeCloseTo(0.5 + 1.96 * Math.sqrt(1 / 12), 12);
  });

  it("say nothing of an interval for a single session", () => {
    expect(doublyRobust(choices.slice(0, 1)).value.high).toBe(Number.POSITIVE_INFINITY);
  });

  it("cover the truth in nine of ten runs at least, though the choices adapt to what was learned", () => {
    const truth = [0.3, -0.2, 0.1];
    const runs = 200;
    const covered = { ips: 0, snips: 0, doublyRobust: 0 };
    for (let run = 0; run < runs; run++) {
      const random = createRandom(mixSeed("coverage", run));
      let models = truth.map(() => emptyRidge(1));
      const logged = Array.from({ length: 400 }, (_, t): WeighedChoice => {
        const expected = models.map((model) => expectedReward(model, [1]));
        const probabilities = inverseGapProbabilities(
          expected.map((r) => (r + 1) / 2),
          2 * Math.sqrt(t),
          0.05,
        );
        const taken = drawAlternative(probabilities, random.next());
        const reward = random.next() < (1 + truth[taken]!) / 2 ? 1 : -1;
        models = models.map((model, a) => (a === taken ? withReward(model, [1], reward) : model));
        // The policy to be told of takes the second alternative in half of all cases, the third in the other half.
        const policy = [0, 0.5, 0.5];
        const expectedOfPolicy = expected.reduce((sum, value, a) => sum + policy[a]! * value, 0);
        return choice(reward, policy[taken]! / probabilities[taken]!, expected[taken]!, expectedOfPolicy, `${t}`);
      });
      const isIn = ({ value }: { value: { low: number; high: number } }) =>
        value.low <= -0.05 && -0.05 <= value.high ? 1 : 0;
      covered.ips += isIn(inversePropensity(logged));
      covered.snips += isIn(selfNormalised(logged));
      covered.doublyRobust += isIn(doublyRobust(logged));
    }
    expect(covered.doublyRobust / runs).toBeGreaterThanOrEqual(0.9);
    expect(covered.ips / runs).toBeGreaterThanOrEqual(0.9);
    expect(covered.snips / runs).toBeGreaterThanOrEqual(0.88);
  });
});

it("chooses by the gap to the best, never below the floor", () => {
  // γ = 8: p = 1/(3 + 8 · .25) = .2, 1/(3 + 8 · .5) = .142857; the best .657143; then .94 p + .02
  const probabilities = inverseGapProbabilities([0.75, 0.5, 0.25], 8, 0.02);
  expect(probabilities).toEqual([expect.closeTo(0.637714), expect.closeTo(0.208), expect.closeTo(0.154286)]);
  expect(inverseGapProbabilities([0, 0, 0], 8, 0.02).map((p) => Math.round(300 * p))).toEqual([100, 100, 100]);
});

it("expects rewards by ridge regression, and forgets at the rate it is told", () => {
  // x = (1, 1) with 1 and (1, −1) with 0: Σ x xᵀ + I = [[3, 0], [0, 3]], Σ r x = (1, 1): θ = (1/3, 1/3)
  const model = withReward(withReward(emptyRidge(2), [1, 1], 1), [1, -1], 0);
  expect(expectedReward(model, [1, 1])).toBeCloseTo(2 / 3, 12);
  expect(expectedReward(model, [1, -1])).toBeCloseTo(0, 12);
  // halved: [[2, 0], [0, 2]], (.5, .5): θ = (.25, .25)
  expect(expectedReward(aged(model, 0.5), [1, 1])).toBeCloseTo(0.5, 12);
});
