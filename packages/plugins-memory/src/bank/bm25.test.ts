import { describe, expect, it } from "vitest";
import { bm25, searchTerms } from "./bm25.js";

describe("bm25", () => {
  it("gives the hand-worked score", () => {
    // N = 3, n_tea = 1: idf = ln(1 + 2.5/1.5) = ln(8/3) = 0.980829
    // document 0: f = 1, |D| = 2, mean = 2: 0.980829 · 1 · 2.2 / (1 + 1.2 · (0.25 + 0.75)) = 0.980829
    const scores = bm25(
      ["tea"],
      [
        ["like", "tea"],
        ["dog", "rex"],
        ["colour", "blue"],
      ],
    );
    expect(scores[0]).toBeCloseTo(0.980829, 6);
    expect(scores.slice(1)).toEqual([0, 0]);
  });

  it("prefers the shorter of two documents that say the word once", () => {
    // mean = 2; |D| = 1: 2.2 / (1 + 1.2 · 0.625) = 1.257143; |D| = 3: 2.2 / (1 + 1.2 · 1.375) = 0.830189; idf = ln(1 + 0.5/2.5) = 0.182322
    const [short, long] = bm25(["tea"], [["tea"], ["tea", "cup", "saucer"]]);
    expect(short).toBeCloseTo(0.182322 * 1.257143, 5);
    expect(long).toBeCloseTo(0.182322 * 0.830189, 5);
  });

  it("scores nothing among no documents", () => expect(bm25(["tea"], [])).toEqual([]));
});

it("searches for words without stop words, plurals and two spellings apart", () => {
  expect(searchTerms("What's my favorite color?")).toEqual(["favourite", "colour"]);
  expect(searchTerms("The user's hobbies are Dogs and chess.")).toEqual(["hobby", "dog", "chess"]);
});
