import { mapMasked, type Ragged } from "./ragged.js";

/**
 * Supervised training on the trajectories that succeeded: the mask and the advantages with which `reinforce` is their likelihood.
 *
 *   S = {i : R_i ≥ threshold},  L = −(1/D) Σ_{i ∈ S} Σ_t m_it log π_θ(a_it ∣ o_it)        FireAct, arXiv:2310.05915
 *
 * Rows that were not selected leave the denominator, too: take it from the returned mask. Any method may have made a trajectory;
 * only what an agent is to say itself has mask 1.
 *
 * @param rewards R_i of each row's trajectory. [row]
 * @returns mask and advantages, both 1 at the tokens to be learned and 0 elsewhere. [row][token]
 */
export function selectRewarded(
  rewards: readonly number[],
  mask: Ragged,
  threshold: number,
): { readonly mask: number[][]; readonly advantages: number[][] } {
  const selected = mapMasked(mask, (row) => (rewards[row]! >= threshold ? 1 : 0));
  return { mask: selected, advantages: selected.map((tokens) => [...tokens]) };
}
