import { AgentError } from "@afterstate/core";
import type { LearningRateSchedule } from "../types.js";

/**
 * The learning rate of a step, as a share of the full rate.
 *
 *   share(t) = min((t + 1)/W, f(t/T))        W: steps of warm-up, T: steps until the rate is lowest
 *   constant f(x) = 1        linear f(x) = 1 − (1 − s) x        cosine f(x) = s + (1 − s)(1 + cos πx)/2,  x at most 1
 *
 * Warm-up and decay both count from the first step: the lower one holds. Cosine: SGDR, arXiv:1608.03983, Eq. 5, without restarts.
 *
 * @param step t: steps that the optimizer has taken before.
 * @throws AgentError `learner/bad-option`.
 */
export function scheduledShare(schedule: LearningRateSchedule, step: number): number {
  const { warmupSteps } = schedule;
  const wrong = (name: string, value: number, wanted: string) =>
    new AgentError("learner/bad-option", `${name} of the learning-rate schedule is ${wanted}, not ${value}`);
  if (!(warmupSteps >= 0)) throw wrong("warmupSteps", warmupSteps, "0 or more");
  const warm = warmupSteps === 0 ? 1 : (step + 1) / warmupSteps;
  if (schedule.shape === "constant") return Math.min(1, warm);
  const { shape, totalSteps, finalShare } = schedule;
  if (!(totalSteps > 0)) throw wrong("totalSteps", totalSteps, "above 0");
  if (!(finalShare >= 0 && finalShare <= 1)) throw wrong("finalShare", finalShare, "0 to 1");
  const passed = Math.min(1, step / totalSteps);
  const left = shape === "linear" ? 1 - passed : (1 + Math.cos(Math.PI * passed)) / 2;
  return Math.min(warm, finalShare + (1 - finalShare) * left);
}
