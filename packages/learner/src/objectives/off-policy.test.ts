import { describe, expect, it } from "vitest";
import { offPolicyWeights, rejectionMask } from "./off-policy.js";

/** One row whose ratios are 3 and .4, with an observation between them. */
const batch = {
  oldLogProbs: [[Math.log(0.3), 5, Math.log(0.2)]],
  behaviourLogProbs: [[Math.log(0.1), -5, Math.log(0.5)]],
  mask: [[1, 0, 1]],
};
const close = (found: number[][], expected: number[]) =>
  expected.forEach((x, t) => expect(found[0]![t]).toBeCloseTo(x, 12));

describe("weights of samples of an older policy", () => {
  it("are truncated or dropped by token", () => {
    close(offPolicyWeights(batch, { level: "token", upper: 2, outside: "clamp" }), [2, 0, 0.4]);
    close(offPolicyWeights(batch, { level: "token", upper: 2, outside: "drop" }), [0, 0, 0.4]);
    close(offPolicyWeights(batch, { level: "token", lower: 0.5, upper: 2, outside: "drop" }), [0, 0, 0]);
  });

  it("are one for a row: the product 1.2, or its geometric mean by token", () => {
    close(offPolicyWeights(batch, { level: "sequence", upper: 2, outside: "clamp" }), [1.2, 0, 1.2]);
    close(offPolicyWeights(batch, { level: "sequence", upper: 1.1, outside: "drop" }), [0, 0, 0]);
    const root = Math.sqrt(1.2);
    close(offPolicyWeights(batch, { level: "geometric-mean", upper: 2, outside: "clamp" }), [root, 0, root]);
  });

  it("have mean 1 when normalised, and stay 0 when all were dropped", () => {
    // (2 + .4) / 2 = 1.2
    const weights = offPolicyWeights(batch, { level: "token", upper: 2, outside: "clamp", normalise: true });
    close(weights, [2 / 1.2, 0, 0.4 / 1.2]);
    close(offPolicyWeights(batch, { level: "token", upper: 0.1, outside: "drop", normalise: true }), [0, 0, 0]);
  });

  it("need bounds that leave something between them", () => {
    expect(() => offPolicyWeights(batch, { level: "token", lower: 2, upper: 1, outside: "clamp" })).toThrow(
      "0 ≤ lower < upper",
    );
  });
});

it("rejection keeps what lies within the bounds, by token or by row", () => {
  expect(rejectionMask(batch, { level: "token", upper: 2 })).toEqual([[0, 0, 1]]);
  expect(rejectionMask(batch, { level: "sequence", lower: 0.5, upper: 2 })).toEqual([[1, 0, 1]]);
});
