import { expect, it } from "vitest";
import { stepRowGae, tokenGaeAcrossSteps } from "./row-gae.js";

const options = { gamma: 0.99, lambda: 0.95 };

it("steps of shuffled rows are credited along their trajectories", () => {
  // a: δ_2 = 1 − .8 = .2; Â_1 = .99 · .8 − .5 + .9405 · .2 = .4801; Â_0 = .99 · .5 − .2 + .9405 · .4801 = .74653405
  const rows = {
    trajectories: ["a", "b", "a", "a"],
    steps: [2, 0, 0, 1],
    rewards: [1, 3, 0, 0],
    values: [0.8, 1, 0.2, 0.5],
  };
  const found = stepRowGae(rows, options);
  [0.2, 2, 0.74653405, 0.4801].forEach((expected, row) => expect(found[row]).toBeCloseTo(expected, 12));
  // Cut off with V = 2 after it: 3 + .99 · 2 − 1
  expect(stepRowGae(rows, options, { b: 2 })[1]).toBeCloseTo(3.98, 12);
  expect(() => stepRowGae({ ...rows, steps: [2, 0, 2, 1] }, options)).toThrow('trajectory "a" has step 2 twice');
});

it("a step's credit does not depend on how many tokens say it; a token's does", () => {
  const across = (mask: readonly (readonly number[])[]) =>
    tokenGaeAcrossSteps(
      {
        trajectories: ["a", "a"],
        steps: [0, 1],
        rewards: [0, 1],
        values: mask.map((tokens) => tokens.map(() => 0)),
        mask,
      },
      options,
    );
  // The reward stands on the last sampled token; each token before it costs .9405.
  expect(across([[1], [1, 0]])).toEqual([[0.9405], [1, 0]]);
  expect(across([[1], [1, 1]])[0]![0]).toBeCloseTo(0.9405 ** 2, 12);
});
