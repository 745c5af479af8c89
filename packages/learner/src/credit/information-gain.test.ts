import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { INFORMATION_GAIN_DEFAULTS, informationGainAdvantages, informationGains } from "./information-gain.js";

const rows = {
  trajectories: ["a", "b", "a", "b"],
  steps: [0, 0, 1, 1],
  prompts: ["p", "p", "p", "p"],
  // a learns at its first step, b at its second; both end alike.
  goldLogProbs: [-1, -4, -1, -1],
  priorLogProbs: { a: -4, b: -4 },
  outcomes: { a: 1, b: 1 },
};

describe("information gain", () => {
  it("is what each step added to the belief in the answer", () => {
    expect(informationGains(rows)).toEqual([3, 0, 0, 3]);
  });

  it("sums to what was learned from first to last", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: -50, max: 0, noNaN: true }), { minLength: 2, maxLength: 20 }),
        (beliefs) => {
          const [prior, ...after] = beliefs as [number, ...number[]];
          const gains = informationGains({
            trajectories: after.map(() => "a"),
            steps: after.map((_, k) => k),
            goldLogProbs: after,
            priorLogProbs: { a: prior },
          });
          const sum = gains.reduce((total, gain) => total + gain, 0);
          expect(Math.abs(sum - (after.at(-1)! - prior))).toBeLessThan(1e-9);
        },
      ),
    );
  });

  it("credits the step that found out, where all outcomes are equal and would teach nothing", () => {
    // IG 3, 0, 0, 3: ±1.5 / 1.73 = ±.866; scaled to mean .3: ±.3. γ = .95: a_0 = .3 − .95 · .3 = .015, a_1 = −.3.
    const found = informationGainAdvantages(rows);
    [0.015, -0.015, -0.3, 0.3].forEach((expected, row) => expect(found[row]).toBeCloseTo(expected, 6));
  });

  it("adds the compared outcome at the last step", () => {
    const gamma0 = { ...INFORMATION_GAIN_DEFAULTS, gamma: 0 };
    const found = informationGainAdvantages({ ...rows, outcomes: { a: 1, b: 0 } }, gamma0);
    // Outcomes ±.7071; gains scaled to the same mean magnitude: ±.7071 at every step.
    [Math.SQRT1_2, -Math.SQRT1_2, 0, 0].forEach((expected, row) => expect(found[row]).toBeCloseTo(expected, 3));
  });
});
