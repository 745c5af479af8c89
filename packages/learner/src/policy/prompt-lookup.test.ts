import { describe, expect, it } from "vitest";
import { openPromptLookup, worthDrafting } from "./prompt-lookup.js";

describe("a lookup of what comes next", () => {
  it("guesses what followed the longest stretch that the text ends in", () => {
    const lookup = openPromptLookup([1, 2, 3, 4, 9, 2, 3, 5, 1, 2, 3]);
    expect(lookup.draft(3)).toEqual([4, 9, 2]); // 1 2 3 is longer than 2 3, though that is later
    lookup.add(4);
    expect(lookup.draft(2)).toEqual([9, 2]);
    lookup.add(7);
    expect(lookup.draft(2)).toEqual([]);
  });

  it("prefers the latest of equally long stretches", () => {
    expect(openPromptLookup([1, 2, 3, 1, 2, 4, 1, 2]).draft(1)).toEqual([4]);
  });

  it("guesses nothing at the start, and nothing after the end", () => {
    expect(openPromptLookup([]).draft(4)).toEqual([]);
    expect(openPromptLookup([5, 5, 5]).draft(4)).toEqual([5]);
  });

  it("counts how often its guesses are right", () => {
    const lookup = openPromptLookup([1, 2, 3, 4, 1, 2]);
    lookup.add(3);
    expect(lookup.accuracy).toBeCloseTo(0.325); // ¼ + 0.1 · (1 − ¼)
    lookup.add(9);
    expect(lookup.accuracy).toBeCloseTo(0.2925); // 0.325 − 0.1 · 0.325
    lookup.add(9); // no guess, no change
    expect(lookup.accuracy).toBeCloseTo(0.2925);
  });

  it("says how many guesses are worth a row of a pass", () => {
    // One stream: right with more than 1/3. 0.9^9 = 0.39, 0.6² = 0.36, 0.6³ = 0.22.
    expect([0.3, 0.5, 0.6, 0.9].map((accuracy) => worthDrafting(accuracy, 1))).toEqual([0, 1, 2, 8]);
    // Sixteen streams: more than 16/18.
    expect([0.88, 0.9, 0.95, 1].map((accuracy) => worthDrafting(accuracy, 16))).toEqual([0, 1, 2, 8]);
  });
});
