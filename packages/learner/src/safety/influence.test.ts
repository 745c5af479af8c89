import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { TrainingSample } from "../types.js";
import { fairBatch } from "./fair-batch.js";
import { capInfluence } from "./influence.js";

const RULE = { maxShare: 1 / 3, minUsers: 3 };
interface UserSample extends TrainingSample {
  readonly user: string;
}
const sample = (user: string, advantages: readonly number[], more: Partial<TrainingSample> = {}): UserSample => ({
  user,
  of: { episodeId: user, stepIndex: 0 },
  policyVersion: "base",
  tokens: {
    promptIds: [1],
    ids: advantages.map(() => 2),
    logProbs: advantages.map(() => -1),
    mask: advantages.map(() => 1),
    temperature: 1,
  },
  advantages,
  ...more,
});
const userOf = ({ user }: UserSample) => user;
const weightOf = (samples: readonly UserSample[], user: string) =>
  samples
    .filter((one) => one.user === user)
    .reduce((sum, { advantages }) => sum + advantages.reduce((total, value) => total + Math.abs(value), 0), 0);

describe("the cap on influence", () => {
  it("leaves a batch alone in which nobody weighs more than a third", () => {
    const samples = ["a", "b", "c", "d"].map((user) => sample(user, [1, -1]));
    expect(capInfluence(samples, userOf, 4, RULE)).toEqual({ samples, capped: [] });
  });

  it("scales the heaviest user down to a third of what the batch weighs then", () => {
    // Weights 12, 2, 1, 1: c = (1/3)(2 + 1 + 1)/(1 − 1/3) = 2, which the next, 2, does not exceed; a third of 2 + 4.
    const samples = [sample("a", [6, -6]), sample("b", [2]), sample("c", [1]), sample("d", [-1])];
    const { samples: capped, capped: who } = capInfluence(samples, userOf, 4, RULE);
    expect(who).toEqual(["a"]);
    expect(capped[0]!.advantages[0]).toBeCloseTo(1, 12);
    expect(capped[0]!.advantages[1]).toBeCloseTo(-1, 12);
    expect(capped.slice(1)).toEqual(samples.slice(1));
  });

  it("scales what hints weigh as well", () => {
    // The hint adds two tokens to the weight of a: 4 + 2 = 6, capped at (1/3)(3)/(2/3) = 1.5, a quarter.
    const samples = [
      sample("a", [2, 2], { teacherPromptIds: [1, 3] }),
      sample("b", [1]),
      sample("c", [1]),
      sample("d", [1]),
    ];
    const [first] = capInfluence(samples, userOf, 4, RULE).samples;
    expect(first!.advantages[0]).toBeCloseTo(0.5, 12);
    expect(first!.teacherWeight).toBeCloseTo(0.25, 12);
  });

  it("holds nobody back where there are fewer than three users", () => {
    const samples = [sample("a", [9]), sample("b", [1])];
    expect(capInfluence(samples, userOf, 2, RULE).capped).toEqual([]);
    expect(capInfluence([samples[0]!], userOf, 1, RULE).capped).toEqual([]);
  });

  it("lets two users of a larger deployment weigh alike", () => {
    const { samples } = capInfluence([sample("a", [9]), sample("b", [1])], userOf, 5, RULE);
    for (const { advantages } of samples) expect(advantages[0]).toBeCloseTo(1, 12);
  });

  it("never lets anybody weigh more than the larger of a third and the even share, whatever the batch", () => {
    const batch = fc.array(fc.tuple(fc.constantFrom("a", "b", "c", "d", "e"), fc.integer({ min: -50, max: 50 })), {
      minLength: 1,
      maxLength: 20,
    });
    fc.assert(
      fc.property(batch, (pairs) => {
        const samples = pairs.map(([user, advantage]) => sample(user, [advantage]));
        const { samples: capped } = capInfluence(samples, userOf, 5, RULE);
        const users = [...new Set(pairs.flatMap(([user, advantage]) => (advantage === 0 ? [] : [user])))];
        const total = users.reduce((sum, user) => sum + weightOf(capped, user), 0);
        for (const user of users)
          expect(weightOf(capped, user)).toBeLessThanOrEqual(Math.max(1 / 3, 1 / users.length) * total + 1e-9);
      }),
    );
  });
});

describe("a fair batch", () => {
  const waiting = (users: string) =>
    [...users].map((user) => ({ user: user === "-" ? "a" : user, informative: user !== "-" }));

  it("counts one of many users no more than a third of it", () => {
    // Six wanted, two of each user count: a a (a a a a) b b c c
    expect(fairBatch(waiting("aaaaaabbc"), 6, 0)).toBeUndefined();
    expect(fairBatch(waiting("aaaaaabbcc"), 6, 0)).toBe(10);
  });

  it("counts everybody where there are fewer than three users, and nothing that says nothing", () => {
    expect(fairBatch(waiting("aa-aa-bb"), 6, 0)).toBe(8);
    expect(fairBatch(waiting("a--"), 2, 0)).toBeUndefined();
  });

  it("waits for others that are known to be there, but not for ever", () => {
    expect(fairBatch(waiting("a".repeat(23)), 6, 3)).toBeUndefined();
    expect(fairBatch(waiting("a".repeat(30)), 6, 3)).toBe(24);
  });
});
