import type { Ragged } from "./ragged.js";

/** log π_a − log π_b of one row, over the tokens that the policy sampled. */
export interface SequenceLogRatio {
  /** Σ_t m_t (log π_a − log π_b): the log of the sequence's own ratio. */
  readonly sum: number;
  /** sum / n: the log of its geometric mean by token; 0 for a row without sampled tokens. */
  readonly mean: number;
  /** n, the sampled tokens of the row. */
  readonly count: number;
}

/** Log-ratios of whole rows. Only sampled tokens count, in the sum and in n. [row] */
export function sequenceLogRatios(a: Ragged, b: Ragged, mask: Ragged): SequenceLogRatio[] {
  return mask.map((tokens, row) => {
    let [sum, count] = [0, 0];
    for (const [t, sampled] of tokens.entries()) {
      if (!sampled) continue;
      sum += a[row]![t]! - b[row]![t]!;
      count++;
    }
    return { sum, mean: count === 0 ? 0 : sum / count, count };
  });
}
