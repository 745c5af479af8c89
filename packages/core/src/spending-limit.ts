import type { Budget } from "./agent.js";
import type { StepCost, StopReason } from "./step.js";

/** Why the next model call must not be made, if so. Without `maxSteps` in the budget there is no limit of steps. */
export function spendingLimit(
  { maxSteps, maxTotalTokens, maxDollars, maxDurationMs }: Budget,
  steps: number,
  { inputTokens, outputTokens, dollars, durationMs }: StepCost,
): StopReason | undefined {
  if (maxSteps !== undefined && steps >= maxSteps) return "max-steps";
  if (maxTotalTokens !== undefined && inputTokens + outputTokens >= maxTotalTokens) return "budget";
  if (maxDollars !== undefined && dollars >= maxDollars) return "budget";
  if (maxDurationMs !== undefined && durationMs >= maxDurationMs) return "budget";
  return undefined;
}
