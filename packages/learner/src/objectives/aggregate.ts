import { AgentError } from "@afterstate/core";
import { mapMasked, type Ragged, sampledCounts } from "./ragged.js";

/**
 * How token losses become one number, n_i = Σ_t m_it, B' the rows with n_i > 0:
 *
 *   token-mean               Σ m L / denominator, denominator = tokens of the whole batch
 *   seq-mean-token-sum       (1/denominator) Σ_i Σ_t m L, denominator = B' of the whole batch
 *   seq-mean-token-mean      (1/denominator) Σ_i (Σ_t m L / n_i), denominator = B' of the whole batch
 *   constant                 Σ m L / denominator, denominator a number of choice (Dr. GRPO: L_max or B · L_max)
 */
export type AggregationMode = "token-mean" | "seq-mean-token-sum" | "seq-mean-token-mean" | "constant";

/** The denominator that a batch gives by itself. Over micro-batches take that of the whole batch. */
export function batchDenominator(mode: Exclude<AggregationMode, "constant">, mask: Ragged): number {
  const counts = sampledCounts(mask);
  if (mode === "token-mean") return counts.reduce((sum, count) => sum + count, 0);
  return counts.filter((count) => count > 0).length;
}

/**
 * The weight of each token in the aggregated loss, so that loss = Σ w L.
 *
 * @param denominator explicit, because a micro-batch cannot know it; see `batchDenominator`.
 * @returns 0 where the mask is 0; all 0 for a denominator of 0. [row][token]
 * @throws AgentError `objective/bad-option` for a negative or non-finite denominator.
 */
export function aggregationWeights(mode: AggregationMode, mask: Ragged, denominator: number): number[][] {
  if (!Number.isFinite(denominator) || denominator < 0)
    throw new AgentError(
      "objective/bad-option",
      `the denominator of a loss is a number of at least 0, not ${denominator}`,
    );
  if (denominator === 0) return mapMasked(mask, () => 0);
  const counts = sampledCounts(mask);
  return mapMasked(mask, (row) => 1 / (mode === "seq-mean-token-mean" ? denominator * counts[row]! : denominator));
}

/**
 * Token weights of a loss that gives each row a weight of its own, spread evenly over the row's sampled tokens.
 *
 *   w_it = W_i m_it / n_i;  W_i = 1/B' is "seq-mean-token-mean"
 *
 * @param rowWeights W_i. [row]
 * @returns 0 where the mask is 0. [row][token]
 */
export function rowMeanWeights(mask: Ragged, rowWeights: readonly number[]): number[][] {
  const counts = sampledCounts(mask);
  return mapMasked(mask, (row) => rowWeights[row]! / counts[row]!);
}

/** Σ w L over tokens whose weight is not 0. */
export function weightedSum(weights: Ragged, tokenLoss: Ragged): number {
  let sum = 0;
  for (const [row, tokens] of weights.entries())
    for (const [token, weight] of tokens.entries()) if (weight !== 0) sum += weight * tokenLoss[row]![token]!;
  return sum;
}
