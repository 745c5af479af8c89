import { describe, expect, it } from "vitest";
import { isInCanary, judgeCanary } from "./canary.js";

const RULE = { share: 0.2, episodes: 16, z: 2 };
const rewards = (good: number, bad: number) => [...Array(good).fill(1), ...Array(bad).fill(-1)] as number[];

describe("the trial of a candidate", () => {
  it("waits until both versions have their episodes", () => {
    expect(judgeCanary(rewards(15, 0), rewards(80, 20), RULE).decision).toBe("wait");
    expect(judgeCanary(rewards(16, 0), rewards(15, 0), RULE).decision).toBe("wait");
  });

  it("promotes what is not significantly worse", () => {
    // Means 0.5 and 0.6: 16 and 100 episodes cannot tell them apart.
    const { decision, numbers } = judgeCanary(rewards(12, 4), rewards(80, 20), RULE);
    expect(decision).toBe("promote");
    expect(numbers).toMatchObject({ canaryEpisodes: 16, servingEpisodes: 100, canaryReward: 0.5 });
    expect(numbers.servingReward).toBeCloseTo(0.6, 12);
  });

  it("drops what is significantly worse", () => {
    expect(judgeCanary(rewards(4, 12), rewards(80, 20), RULE).decision).toBe("drop");
  });

  it("is held on the share of the sessions that is asked for, others for each candidate", () => {
    const canary = (version: string) => ({ version, ancestors: [], since: 0, gate: {} });
    const ids = Array.from({ length: 4000 }, (_, i) => `session-${i}`);
    const served = (version: string) => ids.filter((id) => isInCanary(id, canary(version), RULE, 1));
    expect(Math.abs(served("v1").length - 800)).toBeLessThan(80);
    expect(served("v1")).toEqual(served("v1"));
    expect(served("v2")).not.toEqual(served("v1"));
  });
});
