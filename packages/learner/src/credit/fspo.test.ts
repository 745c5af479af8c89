import { expect, it } from "vitest";
import { factualityReward, fspo } from "./fspo.js";

it("praises a true sentence in a wrong answer, blames a false one in a right answer, and leaves the rest", () => {
  const up = 0.5 / (Math.SQRT1_2 + 1e-6);
  expect(
    fspo({
      rewards: [1, 0, 1, 1],
      groups: ["a", "a", "b", "b"],
      factuality: [
        [1, -1, 0],
        [1, -1, 0],
        [-1, -1, 1],
        [1, 0, -1],
      ],
      mask: [
        [1, 1, 1],
        [1, 1, 0],
        [1, 1, 1],
        [1, 1, 1],
      ],
    }),
  ).toEqual([
    [up, -up, up],
    [up, -up, 0],
    [0, 0, 0],
    [0, 0, 0],
  ]);
});

it("adds the mean of sentences to an answer's reward", () => {
  expect(factualityReward(1, [1, -1, 1, 0])).toBe(1.25);
  expect(factualityReward(1, [])).toBe(1);
});
