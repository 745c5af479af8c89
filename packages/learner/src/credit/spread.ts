/**
 * A step's credit on each of its tokens.
 *
 *   Â_t = Â_k m_t,  m_t = 1 where the policy sampled the token, else 0
 *
 * @returns exactly 0 where the mask is 0. [tokens]
 */
export function spreadOverTokens(advantage: number, mask: readonly number[]): number[] {
  return mask.map((sampled) => (sampled ? advantage : 0));
}
