import { importanceRatio, type ObjectiveBatch, type ObjectiveResult, sumTokenLosses } from "./token-loss.js";

/** Temperatures of the gate. */
export interface SapoOptions {
  readonly tauPositive: number;
  readonly tauNegative: number;
}

/** As published. */
export const SAPO_DEFAULTS: SapoOptions = { tauPositive: 1, tauNegative: 1.05 };

/**
 * Soft adaptive policy optimization: a gate that closes smoothly in place of a clip.
 *
 *   f(ρ) = (4/τ) σ(τ (ρ − 1)),  τ = τ_positive where Â > 0, else τ_negative        SAPO, arXiv:2511.20347
 *   L_t = −Â_t f(ρ_t)
 *   ∂L_t/∂log π_θ = −Â_t ρ_t f'(ρ_t),  f' = 4 σ (1 − σ), which is 1 at ρ = 1
 *
 * f(1) = 2/τ, not 1: the loss is offset, only its gradient compares with PPO's. Takes the weights of "seq-mean-token-mean".
 *
 * @returns with `gates`, f(ρ). [row][token]
 * @throws AgentError `tensor/shape`.
 */
export function sapo(
  batch: ObjectiveBatch,
  { tauPositive, tauNegative }: SapoOptions = SAPO_DEFAULTS,
): ObjectiveResult & { readonly gates: readonly (readonly number[])[] } {
  const { newLogProbs, oldLogProbs, advantages, mask } = batch;
  const gates = mask.map((tokens) => tokens.map(() => 0));
  const result = sumTokenLosses(batch, (row, t) => {
    const advantage = advantages[row]![t]!;
    const { ratio, slope } = importanceRatio(newLogProbs[row]![t]! - oldLogProbs[row]![t]!);
    const tau = advantage > 0 ? tauPositive : tauNegative;
    const sigma = 1 / (1 + Math.exp(-tau * (ratio - 1)));
    const gate = (4 * sigma) / tau;
    gates[row]![t] = gate;
    return { loss: -advantage * gate, slope: -advantage * slope * 4 * sigma * (1 - sigma) };
  });
  return { ...result, gates };
}
