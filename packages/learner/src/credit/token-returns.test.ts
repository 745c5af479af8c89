import { expect, it } from "vitest";
import { rewardsOnSampled, tokenReturns, turnReturns } from "./token-returns.js";

const rewards = [1, 9, 2, 4];
const mask = [1, 0, 1, 1];

it("returns skip, discount or end at what the policy did not sample", () => {
  // G_3 = 4; G_2 = 2 + .5 · 4 = 4; G_0 = 1 + .5 · 4 = 3, or 1 + .5 · .5 · 4 = 2, or 1
  expect(tokenReturns(rewards, mask, { gamma: 0.5, masked: "skip" })).toEqual([3, 0, 4, 4]);
  expect(tokenReturns(rewards, mask, { gamma: 0.5, masked: "discount" })).toEqual([2, 0, 4, 4]);
  expect(tokenReturns(rewards, mask, { gamma: 0.5, masked: "reset" })).toEqual([1, 0, 4, 4]);
});

it("returns of turns are shared by their tokens, however many they are", () => {
  // G_1 = 2 + 4 = 6; G_0 = 1 + .5 · 6 = 4
  expect(turnReturns(rewards, mask, 0.5)).toEqual([4, 0, 6, 6]);
  expect(turnReturns([1, 9, 6], [1, 0, 1], 0.5)).toEqual([4, 0, 6]);
});

it("a reward on an observation goes to the last sampled token before it", () => {
  expect(rewardsOnSampled([5, 1, 2, 3, 4], [0, 1, 0, 1, 0])).toEqual([0, 3, 0, 7, 0]);
});
