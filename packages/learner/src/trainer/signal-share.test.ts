import { createRandom } from "@afterstate/core";
import { describe, expect, it } from "vitest";
import { SignalShare } from "./signal-share.js";

/** Halves of the same size at an angle: g₁ · g₂ = ρ, |g₁|² = |g₂|² = 1. */
const halves = (rho: number) => ({ signal: 4 * rho, power: 2 + 2 * rho });
const after = (...correlations: readonly number[]) => {
  const share = new SignalShare(undefined);
  for (const rho of correlations) share.add(halves(rho));
  return share;
};
const spearmanBrown = (rho: number) => (2 * rho) / (1 + rho);

describe("the share of signal in a gradient", () => {
  it("is 1 while nothing is known, and hardly more than 0 after one measurement", () => {
    expect(after().value).toBe(1);
    // 0 and .3 with w = .9, 1: mean .1579, n = 1.9²/1.81 = 1.9945, variance (.04737 − .02493) · n/(n − 1) = .045
    expect(after(0.3).value).toBeCloseTo(spearmanBrown(0.1579 - Math.sqrt(0.045 / 1.9945)), 3);
    expect(after(-1).value).toBe(0);
    const still = after();
    still.add({ signal: 0, power: 0 });
    expect(still.value).toBe(1);
  });

  it("is that of the weighted mean less its standard error", () => {
    // 0, 1, 1, 0 with w = .729, .81, .9, 1: Σw = 3.439, Σw² = 2.9975, mean 1.71/3.439 = .4972; n = 3.439²/2.9975 = 3.9455;
    // variance (.4972 − .4972²) · n/(n − 1) = .3349; standard error √(.3349/n) = .2913
    expect(after(1, 1, 0).value).toBeCloseTo(spearmanBrown(0.4972 - 0.2913), 3);
  });

  it("hears no batch far from all others in full", () => {
    const usual = [0.1, 0.2, 0.15, 0.05, 0.1, 0.2, 0.15, 0.05];
    const { value } = after(...usual);
    expect(after(...usual, -0.3).value).toBeGreaterThan(value / 2);
    expect(after(...usual, -0.3).value).toBeLessThan(value);
    expect(after(...usual, 1).value).toBeLessThan(1.5 * value);
  });

  it("goes on from an optimizer's state as if it had not stopped", () => {
    const resumed = new SignalShare(new Map([after(0.4, 0.5).state]));
    resumed.add(halves(0.2));
    expect(resumed.value).toBeCloseTo(after(0.4, 0.5, 0.2).value, 6);
  });

  it("is near 0 under noise and near the truth under signal", () => {
    const random = createRandom(4);
    const noise = () => 0.1 * (random.next() + random.next() + random.next() - 1.5);
    const mean = (truth: number) => {
      const share = new SignalShare(undefined);
      let sum = 0;
      for (let i = 0; i < 2000; i++) {
        share.add(halves(truth / (2 - truth) + noise()));
        sum += share.value;
      }
      return sum / 2000;
    };
    expect(mean(0)).toBeLessThan(0.003);
    expect(mean(0.3)).toBeGreaterThan(0.27);
  });
});
