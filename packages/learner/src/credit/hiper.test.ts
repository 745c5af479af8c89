import { describe, expect, it } from "vitest";
import { stepGae } from "./gae.js";
import { type HiperRole, hiper, hiperRewards, hiperTokens } from "./hiper.js";

const options = { gamma: 0.99, turnLambda: 0.95, segmentLambda: 0.95, bootstrapTruncated: false };
const rows = {
  trajectories: ["a", "a", "a", "a"],
  steps: [0, 1, 2, 3],
  rewards: [0, 0, 0, 1],
  terminated: [false, false, false, true],
  switches: [false, false, true, false],
  values: { low: [0.3, 0.4, 0.6, 0.8], high: [0.25, 9, 0.55, 9], term: [0, 0, 0, 0] },
};

describe("hierarchical credit", () => {
  it("follows the equations within and between segments", () => {
    const { low, high, term, boundary } = hiper(rows, options);
    expect(boundary).toEqual([true, false, true, false]);
    // Second segment: .2; .99 · .8 − .6 + .9405 · .2 = .3801. First, towards V_high = .55: .99 · .55 − .4 = .1445; then
    // .99 · .4 − .3 + .9405 · .1445 = .23190225
    [0.23190225, 0.1445, 0.3801, 0.2].forEach((expected, t) => expect(low[t]).toBeCloseTo(expected, 12));
    // .99 · 1 − .55 = .44; .99² · .55 − .25 + .99² · .95 · .44 = .6987368
    [0.6987368, 0, 0.44, 0].forEach((expected, t) => expect(high[t]).toBeCloseTo(expected, 7));
    // To the next segment: .99² · .55, .99 · .55, then the end: .99, 1
    [0.539055, 0.5445, 0.99, 1].forEach((expected, t) => expect(term[t]).toBeCloseTo(expected, 12));
  });

  it("is generalized advantage estimation where there is one segment", () => {
    const { low } = hiper({ ...rows, switches: [true, false, false, false] }, options);
    stepGae(rows.rewards, rows.values.low, { gamma: 0.99, lambda: 0.95 }).forEach((expected, t) =>
      expect(low[t]).toBeCloseTo(expected, 12),
    );
  });

  it("goes on with its own values where it was cut off, if asked to", () => {
    const cut = { ...rows, terminated: [false, false, false, false] };
    expect(hiper(cut, options)).toEqual(hiper(rows, options));
    const { low, high } = hiper(cut, { ...options, bootstrapTruncated: true });
    expect(low[3]).toBeCloseTo(1 + 0.99 * 0.8 - 0.8, 12);
    expect(high[2]).toBeCloseTo(0.99 + 0.99 ** 2 * 0.55 - 0.55, 12);
  });

  it("goes to the tokens of each head, and to no others", () => {
    const roles: HiperRole[][] = [
      ["switch", "subgoal", "action", "other"],
      ["switch", "subgoal", "action", "action"],
    ];
    const credit = { low: [2, 4], high: [3, 0], term: [5, 7], boundary: [true, false] };
    const { advantages, mask } = hiperTokens(credit, roles, [
      [1, 1, 1, 1],
      [1, 1, 1, 0],
    ]);
    // low and term: two rows, ±1 of the population; high: one row, 0 by itself; a repeated subgoal is not trained.
    expect(mask).toEqual([
      [1, 1, 1, 0],
      [1, 0, 1, 0],
    ]);
    [
      [-1, 0, -1, 0],
      [1, 0, 1, 0],
    ].forEach((row, i) => {
      for (const [t, expected] of row.entries()) expect(advantages[i]![t]).toBeCloseTo(expected, 6);
    });
  });

  it("shapes rewards by how often a subgoal was kept", () => {
    const shaped = hiperRewards(
      { ...rows, valid: [true, true, true, false] },
      { keepPenalty: -0.4, invalidPenalty: 0.1 },
    );
    // −.4 / 4 at each of the three turns that kept; the last had no valid action either.
    [-0.1, -0.1, 0, 0.8].forEach((expected, t) => expect(shaped[t]).toBeCloseTo(expected, 12));
  });
});
