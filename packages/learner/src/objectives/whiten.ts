import { mapMasked, type Ragged } from "./ragged.js";

/** Keeps the denominator from 0; a batch without variance becomes exactly 0. */
const EPSILON = 1e-8;

/**
 * Whitening over the sampled tokens of a batch.
 *
 *   x'_t = (x_t − μ) / √(σ² + ε),  σ² unbiased        verl masked_whiten
 *
 * @returns 0 where the mask is 0. A single token becomes 0. [row][token]
 */
export function whitenTokens(numbers: Ragged, mask: Ragged): number[][] {
  const { mean, variance } = moments(mask.flatMap((tokens, row) => numbers[row]!.filter((_, t) => tokens[t])));
  const scale = Math.sqrt(variance + EPSILON);
  return mapMasked(mask, (row, t) => (numbers[row]![t]! - mean) / scale);
}

/**
 * Whitening over the steps of a batch, each step once, however long it is.
 *
 *   x'_k = (x_k − μ) / (σ + ε),  σ² unbiased        StepPO, arXiv:2604.18401
 *
 * @returns [steps]
 */
export function whitenSteps(numbers: readonly number[]): number[] {
  const { mean, variance } = moments(numbers);
  return numbers.map((number) => (number - mean) / (Math.sqrt(variance) + EPSILON));
}

function moments(numbers: readonly number[]): { mean: number; variance: number } {
  const count = numbers.length;
  const mean = numbers.reduce((sum, number) => sum + number, 0) / Math.max(1, count);
  const squares = numbers.reduce((sum, number) => sum + (number - mean) ** 2, 0);
  return { mean, variance: count > 1 ? squares / (count - 1) : 0 };
}
