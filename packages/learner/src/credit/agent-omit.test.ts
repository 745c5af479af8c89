import { expect, it } from "vitest";
import { omissionCredit, omissionReward } from "./agent-omit.js";

it("rewards what was left out, unless the task failed", () => {
  const saved = { omittedThoughtTokens: 30, omittedObservationTokens: 50, totalTokens: 400 };
  // (30 + 50) / 400 = .2; .8 · 1 + .2 · .2 = .84
  const { omission, reward } = omissionReward({ taskReward: 1, ...saved }, { mu: 0.2 });
  expect(omission).toBeCloseTo(0.2, 12);
  expect(reward).toBeCloseTo(0.84, 12);
  expect(omissionReward({ taskReward: 0, ...saved }, { mu: 0.2 })).toEqual({ omission: 0, reward: 0 });
});

it("compares partial trajectories with partial ones, and shares a full one's weight among them", () => {
  const credit = omissionCredit(
    [
      { prompt: "p", reward: 1 },
      { prompt: "p", reward: 0 },
    ],
    [
      { parent: 0, taskReward: 1 },
      { parent: 0, taskReward: 1 },
      { parent: 1, taskReward: 1 },
    ],
  );
  expect(credit.fullAdvantages[0]).toBeCloseTo(Math.SQRT1_2, 5);
  expect(credit.partialAdvantages).toEqual([0, 0, 0]);
  expect(credit.fullWeights).toEqual([0.5, 0.5]);
  expect(credit.partialWeights).toEqual([0.25, 0.25, 0.5]);
});
