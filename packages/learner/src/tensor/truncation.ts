/**
 * Limits on what may be sampled. Each is judged on the whole softmax at the sampling temperature, and a token has to keep within all of them;
 * tokens that are as likely as the last one within stay, too.
 *
 *   top-k    fewer than k tokens are likelier
 *   top-p    the likelier tokens hold less than p of the probability        arXiv:1904.09751, §3.1
 *   min-p    π(a) ≥ p · max π                                               arXiv:2407.01082, §3
 *
 * Differs from the papers' code: no limit is judged on what another one left.
 */
export interface Truncation {
  readonly topP?: number;
  readonly topK?: number;
  readonly minP?: number;
}

/** The least odds that keep within all limits. @param odds of all tokens, in any proportion. [vocab] @param sum of them. */
export function leastOdds(
  odds: Float64Array,
  sum: number,
  { topP = 1, topK = odds.length, minP = 0 }: Truncation,
): number {
  const sorted = odds.slice().sort().reverse();
  let least = sorted[0]!;
  let likelier = 0;
  for (let rank = 0; rank < Math.min(topK, sorted.length); rank++) {
    const next = sorted[rank]!;
    if (next < least && (likelier >= topP * sum || next < minP * sorted[0]!)) break;
    least = next;
    likelier += next;
  }
  return least;
}
