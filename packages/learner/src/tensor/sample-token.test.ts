import { describe, expect, it } from "vitest";
import { rowOf, type SampleRequest, sampleToken, type TokenConstraint } from "./sample-token.js";
import { leastOdds } from "./truncation.js";

/** π = ½, ¼, ⅛, ⅛ at temperature 1. */
const SCORES = Float32Array.from([0.5, 0.25, 0.125, 0.125], Math.log);
const PROBABILITIES = [0.5, 0.25, 0.125, 0.125];

const rowWith = (overrides: Partial<SampleRequest>, seed = 1) =>
  rowOf({ promptIds: [0], seed, temperature: 1, maxTokens: 1e9, stopIds: new Set(), ...overrides });

const only = (...ids: readonly number[]): TokenConstraint => ({
  allows: (id) => ids.includes(id),
  allowed: () => Uint8Array.from(SCORES, (_, id) => Number(ids.includes(id))),
  accept() {},
});

/** How often each token is drawn in 4000 draws, and how often as the policy's own. */
const drawn = (overrides: Partial<SampleRequest>) => {
  const row = rowWith(overrides);
  for (let i = 0; i < 4000; i++) sampleToken(row, SCORES, 1e9);
  const count = (own: boolean) =>
    PROBABILITIES.map((_, id) => row.ids.filter((one, t) => one === id && (!own || row.mask[t] === 1)).length);
  return { row, all: count(false), own: count(true) };
};

/** Whether counts of 4000 draws are within 4 standard deviations of what probabilities say. */
const expectShares = (counts: readonly number[], shares: readonly number[]) =>
  counts.forEach((count, id) => {
    const mean = 4000 * shares[id]!;
    expect(Math.abs(count - mean)).toBeLessThanOrEqual(4 * Math.sqrt(mean * (1 - shares[id]!)));
  });

describe("limits on what is sampled", () => {
  const least = (limits: Parameters<typeof leastOdds>[2]) => leastOdds(Float64Array.of(4, 1, 2, 1), 8, limits);

  it("keep the k likeliest, and those as likely as the last of them", () => {
    expect([1, 2, 3].map((topK) => least({ topK }))).toEqual([4, 2, 1]);
  });

  it("keep the likeliest that hold a share p together", () => {
    // 4 of 8 are ½, with 2 they are ¾: at p = ½ the first is enough, above it the second is needed.
    expect([0.4, 0.5, 0.51, 0.75, 0.76, 1].map((topP) => least({ topP }))).toEqual([4, 4, 2, 2, 1, 1]);
  });

  it("keep what is at least p times as likely as the likeliest", () => {
    expect([0, 0.25, 0.26, 0.5, 0.51].map((minP) => least({ minP }))).toEqual([1, 1, 2, 2, 4]);
  });

  it("hold together", () => {
    expect(least({ topK: 3, topP: 0.9, minP: 0.5 })).toBe(2);
    expect(least({})).toBe(1);
  });
});

describe("drawing a token", () => {
  it("follows the softmax where nothing limits it, all of it the policy's own", () => {
    const { all, own, row } = drawn({});
    expectShares(all, PROBABILITIES);
    expect(own).toEqual(all);
    row.ids.forEach((id, t) => expect(row.logProbs[t]).toBeCloseTo(Math.log(PROBABILITIES[id]!), 6));
  });

  it("gives what limits and a grammar allow its share of what they leave, and calls its own what the policy drew", () => {
    // Ids 0 and 1 are left, ½ and ¼ of ¾: ⅔ and ⅓. The policy itself drew them with ½ and ¼.
    for (const limit of [{ truncation: { topK: 2 } }, { constraint: only(0, 1) }]) {
      const { all, own, row } = drawn(limit);
      expectShares(all, [2 / 3, 1 / 3, 0, 0]);
      expectShares(own, [1 / 2, 1 / 4, 0, 0]);
      row.logProbs.forEach((logProb, t) =>
        expect(logProb).toBeCloseTo(row.mask[t] === 1 ? Math.log(PROBABILITIES[row.ids[t]!]!) : 0, 6),
      );
    }
  });

  it("takes what the grammar allows though it is beyond the limits, or too unlikely for a float", () => {
    expectShares(drawn({ truncation: { topK: 1 }, constraint: only(2, 3) }).all, [0, 0, 1, 0]);
    const row = rowWith({ constraint: only(1, 2) });
    sampleToken(row, Float32Array.of(0, -2000, -1900, 0), 100);
    expect([row.ids, row.mask, row.logProbs]).toEqual([[2], [0], [0]]);
  });

  it("takes the likeliest allowed one at temperature 0", () => {
    const { all } = drawn({ temperature: 0, constraint: only(1, 3) });
    expect(all).toEqual([0, 4000, 0, 0]);
  });

  it("ends a response with the token that says so", () => {
    const row = rowWith({ endsWith: (id) => id === 1 });
    while (row.stoppedBy === undefined) sampleToken(row, SCORES, 1e9);
    expect([row.stoppedBy, row.ids.indexOf(1)]).toEqual(["stop", row.ids.length - 1]);
  });
});
