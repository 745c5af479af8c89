import { weightedSum } from "./aggregate.js";
import { assertSameShape, type LossAndGradient, mapMasked, type Ragged } from "./ragged.js";

/** |log-ratio| is clamped to it before the exponential; beyond it a ratio has no gradient. */
export const MAX_LOG_RATIO = 20;

/** One token's loss and its derivative by log π_θ. */
export interface TokenLoss {
  readonly loss: number;
  readonly slope: number;
}

/** What an objective over sampled tokens is computed from. Each is [row][token]; what stands where the mask is 0 is never read. */
export interface ObjectiveBatch {
  readonly newLogProbs: Ragged;
  readonly oldLogProbs: Ragged;
  readonly advantages: Ragged;
  /** 1 where the policy sampled the token, 0 at observations, tool output and template. */
  readonly mask: Ragged;
  /** Of each token in the loss: see `aggregationWeights`. */
  readonly weights: Ragged;
  /** A constant factor of each token's loss: see `offPolicyWeights`. Absent: 1. */
  readonly importanceWeights?: Ragged;
}

/** An objective of a batch. */
export interface ObjectiveResult extends LossAndGradient {
  /** Before aggregation; 0 where the mask is 0. [row][token] */
  readonly tokenLoss: Ragged;
}

/** Σ_it w_it u_it L_it over the sampled tokens, u the importance weights. @throws AgentError `tensor/shape`. */
export function sumTokenLosses(
  batch: Pick<ObjectiveBatch, "mask" | "weights" | "importanceWeights">,
  token: (row: number, t: number) => TokenLoss,
): ObjectiveResult {
  const { mask, weights, importanceWeights } = batch;
  assertSameShape(mask, { ...batch });
  const gradient = mapMasked(mask, () => 0);
  const tokenLoss = mapMasked(mask, (row, t) => {
    const { loss, slope } = token(row, t);
    const factor = importanceWeights === undefined ? 1 : importanceWeights[row]![t]!;
    gradient[row]![t] = weights[row]![t]! * (factor * slope);
    return factor * loss;
  });
  return { loss: weightedSum(weights, tokenLoss), gradient, tokenLoss };
}

/** ρ = π_θ / π_old of one token, and its derivative by log π_θ: ρ itself, or 0 where the log-ratio is clamped. */
export function importanceRatio(logRatio: number): { readonly ratio: number; readonly slope: number } {
  const ratio = Math.exp(Math.min(MAX_LOG_RATIO, Math.max(-MAX_LOG_RATIO, logRatio)));
  return { ratio, slope: Math.abs(logRatio) <= MAX_LOG_RATIO ? ratio : 0 };
}
