import { describe, expect, it } from "vitest";
import { addReward, type RewardStatistics } from "../online/reward-watch.js";
import { liftOf, NO_LIFT, takeInReward } from "./lift.js";
import { isHeldOut, sessionDraw } from "./session-draw.js";
import { studentQuantile, welchDifference } from "./welch.js";

const of = (...numbers: number[]) =>
  numbers.reduce<RewardStatistics | undefined>((before, reward) => addReward(before, reward), undefined);

describe("Welch's interval", () => {
  it("widens the normal quantile to Student's", () => {
    // Tables: t(.975) is 2.2281 with 10 degrees of freedom, 2.0423 with 30; 1.9600 without end.
    expect(studentQuantile(1.95996, 10)).toBeCloseTo(2.2281, 3);
    expect(studentQuantile(1.95996, 30)).toBeCloseTo(2.0423, 3);
    expect(studentQuantile(1.95996, 1e9)).toBeCloseTo(1.95996, 6);
  });

  it("has its degrees of freedom of both variances", () => {
    // a: 1 2 3, mean 2, s² = 1, s²/n = 1/3; b: 2 4 6, mean 4, s² = 4, s²/n = 4/3.
    // ν = (5/3)² / ((1/3)²/2 + (4/3)²/2) = (25/9)/(17/18) = 50/17 = 2.94; reach = t √(5/3)
    const { value, low, high } = welchDifference(of(1, 2, 3), of(2, 4, 6), 1.96)!;
    const reach = studentQuantile(1.96, 50 / 17) * Math.sqrt(5 / 3);
    expect(value).toBe(-2);
    expect(low).toBeCloseTo(-2 - reach, 10);
    expect(high).toBeCloseTo(-2 + reach, 10);
  });

  it("is not there while one side has fewer than two numbers, and has no width where nothing varies", () => {
    expect(welchDifference(of(1), of(1, 2), 2)).toBeUndefined();
    expect(welchDifference(undefined, of(1, 2), 2)).toBeUndefined();
    expect(welchDifference(of(1, 1), of(0, 0), 2)).toEqual({ value: 1, low: 1, high: 1 });
  });
});

describe("lift", () => {
  it("counts a session once, by the mean of its episodes", () => {
    const said = [
      ["s1", "live", 1],
      ["s1", "live", 0],
      ["s2", "live", 1],
      ["s3", "holdout", 0],
      ["s4", "holdout", -1],
    ] as const;
    const state = said.reduce(
      (before, [sessionId, arm, reward]) => takeInReward(before, { sessionId, arm, reward }),
      NO_LIFT,
    );
    expect(liftOf(state)).toMatchObject({
      live: { mean: 0.75, sessions: 2 },
      holdout: { mean: -0.5, sessions: 2 },
      value: 1.25,
    });
  });

  it("keeps what long gone sessions counted, in bounded memory", () => {
    let state = NO_LIFT;
    for (let i = 0; i < 1000; i++)
      state = takeInReward(state, { sessionId: `s${i}`, arm: i % 2 ? "live" : "holdout", reward: i % 2 });
    expect(state.open.length).toBe(256);
    expect(liftOf(state)).toMatchObject({ live: { mean: 1, sessions: 500 }, holdout: { mean: 0, sessions: 500 } });
  });

  it("says nothing of what it does not know", () => {
    expect(liftOf(NO_LIFT)).toEqual({});
  });
});

describe("the draw of a session", () => {
  it("holds out the share that is asked for, the same sessions each time, and more of them for a larger share", () => {
    const ids = Array.from({ length: 4000 }, (_, i) => `session-${i}`);
    const held = (share: number) => ids.filter((id) => isHeldOut(id, { share, seed: 7 }));
    // 400 expected, standard deviation √(4000 · .1 · .9) = 19
    expect(Math.abs(held(0.1).length - 400)).toBeLessThan(60);
    expect(held(0.1)).toEqual(held(0.1));
    expect(held(0.1).every((id) => held(0.2).includes(id))).toBe(true);
    expect(held(0)).toEqual([]);
    expect(held(1)).toEqual(ids);
  });

  it("is another one for each purpose and seed", () => {
    expect(new Set([sessionDraw("a", 1, "x"), sessionDraw("a", 1, "y"), sessionDraw("a", 2, "x")]).size).toBe(3);
  });
});
