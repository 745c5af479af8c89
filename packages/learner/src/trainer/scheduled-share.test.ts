import { describe, expect, it } from "vitest";
import { scheduledShare } from "./scheduled-share.js";

const shares = (schedule: Parameters<typeof scheduledShare>[0], ...steps: readonly number[]) =>
  steps.map((step) => Number(scheduledShare(schedule, step).toFixed(6)));

describe("the share of the learning rate", () => {
  it("stays at 1 when constant, after it has warmed up", () => {
    expect(shares({ shape: "constant", warmupSteps: 0 }, 0, 1, 1e6)).toEqual([1, 1, 1]);
    expect(shares({ shape: "constant", warmupSteps: 4 }, 0, 1, 2, 3, 4)).toEqual([0.25, 0.5, 0.75, 1, 1]);
  });

  it("falls on a line to its lowest, and stays there", () => {
    // f(x) = 1 − .9 x at x = 0, .25, .5, 1, and beyond
    const schedule = { shape: "linear", warmupSteps: 0, totalSteps: 8, finalShare: 0.1 } as const;
    expect(shares(schedule, 0, 2, 4, 8, 20)).toEqual([1, 0.775, 0.55, 0.1, 0.1]);
  });

  it("falls on a cosine: slowly, fast, slowly", () => {
    // .2 + .8 (1 + cos πx)/2: cos 0 = 1, cos π/3 = .5, cos π/2 = 0, cos 2π/3 = −.5, cos π = −1
    const schedule = { shape: "cosine", warmupSteps: 0, totalSteps: 6, finalShare: 0.2 } as const;
    expect(shares(schedule, 0, 2, 3, 4, 6, 7)).toEqual([1, 0.8, 0.6, 0.4, 0.2, 0.2]);
  });

  it("is the lower one of warm-up and decay", () => {
    // (t + 1)/4 at 0, 1; 1 − t/8 from 3 on: .625; at 2: min(.75, .75)
    const schedule = { shape: "linear", warmupSteps: 4, totalSteps: 8, finalShare: 0 } as const;
    expect(shares(schedule, 0, 1, 2, 3, 8)).toEqual([0.25, 0.5, 0.75, 0.625, 0]);
  });

  it("refuses numbers that make no schedule", () => {
    expect(() => scheduledShare({ shape: "constant", warmupSteps: -1 }, 0)).toThrow("warmupSteps");
    const cosine = { shape: "cosine", warmupSteps: 0, totalSteps: 5, finalShare: 0 } as const;
    expect(() => scheduledShare({ ...cosine, totalSteps: 0 }, 0)).toThrow("totalSteps");
    expect(() => scheduledShare({ ...cosine, finalShare: 2 }, 0)).toThrow("finalShare");
  });
});
