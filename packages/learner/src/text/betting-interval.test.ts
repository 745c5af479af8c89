import { createRandom, mixSeed } from "@afterstate/core";
import { describe, expect, it } from "vitest";
import { bettingInterval, differenceOf } from "./betting-interval.js";

const bounds = { low: -2, high: 2, alpha: 0.05 };
/** Episodes of a trial: the reward is 1 with a probability that depends on whether the text was shown. */
const trial = (seed: number, episodes: number, withText: number, withoutText: number) => {
  const random = createRandom(mixSeed(seed, "trial"));
  return Array.from({ length: episodes }, () => {
    const shown = random.next() < 0.5;
    return differenceOf(shown, random.next() < (shown ? withText : withoutText) ? 1 : -1);
  });
};
/** Whether 0 was ever outside the interval, looked at after each episode. */
const everDecided = (values: readonly number[]) =>
  values.some((_, i) => {
    const { low, high } = bettingInterval(values.slice(0, i + 1), bounds);
    return low > 0 || high < 0;
  });

describe("the interval of a trial", () => {
  it("is everything before the first episode", () => {
    expect(bettingInterval([], bounds)).toEqual({ low: -2, high: 2 });
  });

  it("has the hand-worked end after two episodes", () => {
    // x = (2 + 2)/4 = 1 twice; λ_1 = √(2 ln 40 / (.25 ln 2)) = 6.525; μ̂_1 = .75, λ_2 = √(2 ln 40 / ((.25 + .25²) ln 3)) = 4.636
    // 2/α = 40: K⁺(.030) = (1 + 6.525 · .970)(1 + 4.636 · .970) = 40.29, K⁺(.035) = 7.297 · 5.474 = 39.94
    // so .030 is refuted and .035 is not: the low end is −2 + 4 · .030 = −1.88
    const { low, high } = bettingInterval([2, 2], bounds);
    expect(low).toBeCloseTo(-1.88, 12);
    expect(high).toBe(2);
  });

  it("shrinks around the true effect", () => {
    // E d = (2 · .9 − 1) − (2 · .5 − 1) = .8
    const { low, high } = bettingInterval(trial(1, 2000, 0.9, 0.5), bounds);
    expect([low < 0.8, high > 0.8, low > 0.55, high < 1.05]).toEqual([true, true, true, true]);
  });

  it("finds no effect where there is none, in 19 of 20 trials at least, though it is looked at after every episode", () => {
    const wrong = Array.from({ length: 60 }, (_, seed) => everDecided(trial(seed, 120, 0.6, 0.6))).filter(Boolean);
    expect(wrong.length / 60).toBeLessThanOrEqual(0.05);
  });

  it("finds a large effect within 60 episodes", () => {
    const found = Array.from({ length: 20 }, (_, seed) => everDecided(trial(seed, 60, 0.95, 0.2))).filter(Boolean);
    expect(found.length).toBeGreaterThanOrEqual(18);
  });
});
