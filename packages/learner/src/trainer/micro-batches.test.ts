import { createRandom } from "@afterstate/core";
import { describe, expect, it } from "vitest";
import type { TrainingSample } from "../types.js";
import { microBatches, tokenBudget } from "./micro-batches.js";

const sample = (episode: number, prompt: number, response: number, hinted = 0): TrainingSample => ({
  of: { episodeId: `e/${episode}`, stepIndex: 0 },
  policyVersion: "base",
  tokens: {
    promptIds: Array(prompt).fill(1),
    ids: Array(response).fill(2),
    logProbs: Array(response).fill(0),
    mask: Array(response).fill(1),
    temperature: 1,
  },
  advantages: Array(response).fill(1),
  ...(hinted > 0 && { teacherPromptIds: Array(hinted).fill(1) }),
});
const sizes = (samples: readonly TrainingSample[], maxTokens: number) =>
  microBatches(samples, maxTokens).map((cut) => [cut.half, ...cut.samples.map(lengthOf)]);
const lengthOf = ({ tokens }: TrainingSample) => tokens.promptIds.length + tokens.ids.length;

describe("micro-batches", () => {
  it("hold as many rows, padded to the longest, as the budget allows", () => {
    // Halves by episode: e/0, e/2 and e/4 against e/1 and e/3. 2 · 10 fits 20, 3 · 10 does not; 30 alone is over it.
    const samples = [sample(0, 5, 5), sample(2, 6, 4), sample(4, 4, 5), sample(1, 20, 10), sample(3, 1, 1)];
    expect(sizes(samples, 20)).toEqual([
      [0, 9, 10],
      [0, 10],
      [1, 2],
      [1, 30],
    ]);
    expect(sizes(samples, 1000)).toEqual([
      [0, 9, 10, 10],
      [1, 2, 30],
    ]);
  });

  it("count what the teacher sees, and stop at sixteen rows", () => {
    expect(sizes([sample(0, 2, 2, 18), sample(0, 2, 2)], 20)).toEqual([
      [0, 4],
      [0, 4],
    ]);
    expect(microBatches(Array(33).fill(sample(0, 1, 1)), 1e9).map((cut) => cut.samples.length)).toEqual([16, 16, 1]);
  });

  it("hold every sample once, whatever the budget", () => {
    const random = createRandom(7);
    const samples = Array.from({ length: 50 }, (_, i) => sample(i, random.integer(40), 1 + random.integer(20)));
    for (const budget of [1, 33, 100, 5000]) {
      const cut = microBatches(samples, budget);
      const episodes = (some: readonly TrainingSample[]) => some.map(({ of }) => of.episodeId).sort();
      expect(episodes(cut.flatMap((part) => part.samples))).toEqual(episodes(samples));
      for (const part of cut) {
        const longest = Math.max(...part.samples.map(lengthOf));
        expect(part.samples.length === 1 || part.samples.length * longest <= budget).toBe(true);
      }
    }
  });

  it("are smaller for a large vocabulary, whose scores take the memory", () => {
    // 2^26 = 67,108,864 scores: ÷ 49,152 = 1365.3; a small vocabulary is bounded by tokens
    expect(tokenBudget({ vocab_size: 49_152 })).toBe(1365);
    expect(tokenBudget({ vocab_size: 500 })).toBe(8192);
  });
});
