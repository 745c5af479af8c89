import { expect, it } from "vitest";
import { informativeGroups, overlongPenalty } from "./length-shaping.js";

it("the penalty grows through the buffer and is held at the limit", () => {
  const options = { maxLength: 20, bufferLength: 8, factor: 2 };
  // 16 is half way through the buffer from 12 to 20.
  expect([12, 16, 20, 26].map((length) => overlongPenalty(length, options))).toEqual([0, -1, -2, -2]);
  expect(overlongPenalty(26, { ...options, beyond: "grow" })).toBe(-3.5);
});

it("groups that agree are left out, and those of one", () => {
  const rewards = [0.1, 0.1, 0.1, 0, 1, 5];
  const groups = ["same", "same", "same", "both", "both", "one"];
  expect(informativeGroups(rewards, groups)).toEqual(["both"]);
  expect(informativeGroups(rewards, groups, { singleton: "keep" })).toEqual(["both", "one"]);
  expect(informativeGroups(rewards, groups, { leastDeviation: 0.8 })).toEqual([]); // σ of 0 and 1 is .707
});
