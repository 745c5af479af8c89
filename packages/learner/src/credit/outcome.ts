/**
 * The plain broadcast: every step of an episode gets the same credit, whatever it did.
 *
 *   Â_k = Σ_j r_j − V(o_0)        REINFORCE with a baseline; the H = 1 form of preference tuning
 *
 * @param rewards r_j; undefined counts as 0. [steps]
 * @returns Â_k. [steps]
 */
export function broadcastOutcome(rewards: readonly (number | undefined)[], baseline: number): number[] {
  const outcome = rewards.reduce<number>((sum, reward) => sum + (reward ?? 0), 0);
  return rewards.map(() => outcome - baseline);
}
