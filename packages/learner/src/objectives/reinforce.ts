import { importanceRatio, type ObjectiveBatch, type ObjectiveResult, sumTokenLosses } from "./token-loss.js";

/**
 * The score-function gradient, and with Â = 1 the likelihood of what was selected: see `supervised.ts`.
 *
 *   L_t = −Â_t log π_θ                       Williams, Machine Learning 8, 1992
 *   ∂L_t/∂log π_θ = −Â_t
 *
 * With one step, one action and o = s this is the gradient of the bandit: (1/N) Σ_i Â_i ∇log π(a_i ∣ s_i).
 *
 * @throws AgentError `tensor/shape`.
 */
export function reinforce(batch: Omit<ObjectiveBatch, "oldLogProbs">): ObjectiveResult {
  const { newLogProbs, advantages } = batch;
  return sumTokenLosses(batch, (row, t) => {
    const advantage = advantages[row]![t]!;
    return { loss: -advantage * newLogProbs[row]![t]!, slope: -advantage };
  });
}

/**
 * The surrogate without a clip: unbiased for samples of π_old, of unbounded variance.
 *
 *   L_t = −Â_t ρ_t,  ρ_t = exp(log π_θ − log π_old)
 *   ∂L_t/∂log π_θ = −Â_t ρ_t
 *
 * @throws AgentError `tensor/shape`.
 */
export function importanceSampling(batch: ObjectiveBatch): ObjectiveResult {
  const { newLogProbs, oldLogProbs, advantages } = batch;
  return sumTokenLosses(batch, (row, t) => {
    const advantage = advantages[row]![t]!;
    const { ratio, slope } = importanceRatio(newLogProbs[row]![t]! - oldLogProbs[row]![t]!);
    return { loss: -advantage * ratio, slope: -advantage * slope };
  });
}
