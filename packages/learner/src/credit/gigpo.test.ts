import { describe, expect, it } from "vitest";
import { type GigpoOptions, gigpo } from "./gigpo.js";
import { GROUP_DEFAULTS, groupAdvantages } from "./group-statistics.js";

const options: GigpoOptions = {
  gamma: 0.5,
  stepWeight: 1,
  scale: "none",
  epsilon: 1e-6,
  episodes: "trajectory",
  singleton: "zero",
};
/** Two trajectories that begin at the same place; the first succeeds. */
const rows = {
  trajectories: ["a", "b", "a", "b"],
  steps: [0, 0, 1, 1],
  prompts: ["p", "p", "p", "p"],
  anchors: ["start", "start", "left", "right"],
  rewards: [0, 0, 1, 0],
};

describe("group in group", () => {
  it("compares steps that began at the same place", () => {
    // Episodes: 1 and 0, ±.5. Returns from the start: .5 and 0, ±.25; the second steps stand alone: 0.
    expect(gigpo(rows, options).advantages).toEqual([0.75, -0.75, 0.5, -0.5]);
    expect(gigpo(rows, { ...options, stepWeight: 2 }).advantages).toEqual([1, -1, 0.5, -0.5]);
  });

  it("is GRPO where no place is seen twice, and never compares prompts", () => {
    const apart = { ...rows, anchors: ["s", "t", "left", "right"] };
    const [up, down] = groupAdvantages([1, 0], ["p", "p"], GROUP_DEFAULTS);
    expect(gigpo(apart, { ...options, scale: "std" }).advantages).toEqual([up, down, up, down]);
    const prompts = ["p", "q", "p", "q"];
    expect(gigpo({ ...rows, prompts }, options).advantages).toEqual([0, 0, 0, 0]);
  });

  it("counts an episode once, or once a step", () => {
    const longer = {
      trajectories: ["a", "a", "a", "b"],
      steps: [0, 1, 2, 0],
      prompts: ["p", "p", "p", "p"],
      anchors: ["1", "2", "3", "4"],
      rewards: [0, 0, 1, 0],
    };
    // Trajectories: μ = .5. Rows: 1, 1, 1, 0: μ = .75.
    expect(gigpo(longer, options).episodeAdvantages).toEqual([0.5, 0.5, 0.5, -0.5]);
    expect(gigpo(longer, { ...options, episodes: "step-row" }).episodeAdvantages).toEqual([0.25, 0.25, 0.25, -0.75]);
  });
});
