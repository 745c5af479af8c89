import type { UpdateOptions } from "../types.js";

/** PPO's clip alone: steps of one size, no KL and no lesson. */
export const PLAIN_UPDATE: UpdateOptions = {
  learningRate: 1e-2,
  stepSize: "fixed",
  epochs: 1,
  clipLow: 0.2,
  clipHigh: 0.2,
  klCoefficient: 0,
  distillationWeight: 0,
  distillationClip: 5,
  gradientClip: 1,
  lossDenominator: 4,
};
