import { describe, expect, it } from "vitest";
import { GROUP_DEFAULTS, groupAdvantages, leaveOneOut } from "./group-statistics.js";

const close = (found: readonly number[], expected: readonly number[]) =>
  expect(found.map((x, i) => Math.abs(x - expected[i]!) < 1e-9)).toEqual(expected.map(() => true));

describe("advantages within groups", () => {
  it("follow the equation for groups that do not stand together", () => {
    // Group a: 1, 0, 0, 1: μ = .5, σ² = 4 · .25 / 3 = 1/3, so ±.5 / (.57735 + 1e-6); group b: 3, 1: μ = 2, σ = √2
    const scaled = 0.5 / (Math.sqrt(1 / 3) + 1e-6);
    const pair = 1 / (Math.SQRT2 + 1e-6);
    close(groupAdvantages([1, 3, 0, 0, 1, 1], ["a", "b", "a", "a", "b", "a"]), [
      scaled,
      pair,
      -scaled,
      -scaled,
      -pair,
      scaled,
    ]);
    // Of a population: σ = .5
    close(groupAdvantages([1, 0], ["a", "a"], { ...GROUP_DEFAULTS, degreesOfFreedom: 0, epsilon: 0 }), [1, -1]);
    close(groupAdvantages([1, 0], ["a", "a"], { ...GROUP_DEFAULTS, scale: "none" }), [0.5, -0.5]);
  });

  it("are exactly 0 where all rewards are equal, and in a group of one unless asked for", () => {
    // (.1 + .1 + .1) / 3 is not .1 in floating point; over ε alone the difference would count.
    expect((0.1 + 0.1 + 0.1) / 3).not.toBe(0.1);
    expect(groupAdvantages([0.1, 0.1, 0.1, 7], ["a", "a", "a", "b"])).toEqual([0, 0, 0, 0]);
    expect(leaveOneOut([0.1, 0.1, 0.1, 7], ["a", "a", "a", "b"])).toEqual([0, 0, 0, 0]);
    expect(groupAdvantages([7], ["b"], { ...GROUP_DEFAULTS, scale: "none", singleton: "raw" })).toEqual([7]);
    expect(leaveOneOut([7], ["b"], { singleton: "raw" })).toEqual([7]);
  });

  it("leave one out: each against the mean of the others", () => {
    // 1 − (0 + 2)/2 = 0; 0 − 1.5 = −1.5; 2 − .5 = 1.5
    close(leaveOneOut([1, 0, 2], ["a", "a", "a"]), [0, -1.5, 1.5]);
  });

  it("need a group for every reward", () => {
    expect(() => groupAdvantages([1], [])).toThrow("1 rewards do not go with 0 names of groups");
  });
});
