/** What a token with mask 0 does to a discounted sum: nothing, one discount, or end it. Its own number never counts. */
export type MaskedTokens = "skip" | "discount" | "reset";

/**
 * Discounted sums over the tokens of one row.
 *
 *   G_t = r_t + γ G_{t'},  t' the next token: with mask 1 under "skip", any under "discount"
 *
 * "skip" is right for returns: what the world wrote costs no discount. "discount" is the published form of discounted distillation.
 * "reset" is REINFORCE++ as released for single answers: what comes after an observation does not reach what stood before it.
 *
 * @returns G_t, 0 where the mask is 0. [tokens]
 */
export function tokenReturns(
  rewards: readonly number[],
  mask: readonly number[],
  { gamma, masked }: { readonly gamma: number; readonly masked: MaskedTokens },
): number[] {
  const returns = new Array<number>(rewards.length).fill(0);
  let running = 0;
  for (let t = rewards.length - 1; t >= 0; t--) {
    if (mask[t]) returns[t] = running = rewards[t]! + gamma * running;
    else if (masked === "discount") running *= gamma;
    else if (masked === "reset") running = 0;
  }
  return returns;
}

/**
 * Discounted sums over the turns of one row: a turn is a run of tokens with mask 1, and its tokens share its return.
 *
 *   G_k = Σ_{t ∈ k} r_t + γ G_{k+1}
 *
 * @returns G of each token's turn, 0 where the mask is 0. [tokens]
 */
export function turnReturns(rewards: readonly number[], mask: readonly number[], gamma: number): number[] {
  const returns = new Array<number>(rewards.length).fill(0);
  let next = 0;
  for (let end = rewards.length; end > 0; ) {
    if (!mask[end - 1]) {
      end--;
      continue;
    }
    let start = end;
    while (start > 0 && mask[start - 1]) start--;
    next = rewards.slice(start, end).reduce((sum, reward) => sum + reward, 0) + gamma * next;
    returns.fill(next, start, end);
    end = start;
  }
  return returns;
}

/**
 * Moves what stands on tokens that the policy did not sample to the last sampled token before it, where masked estimators see it.
 * A reward before the first sampled token has nobody to go to, and is dropped.
 *
 * @returns 0 where the mask is 0. [tokens]
 */
export function rewardsOnSampled(rewards: readonly number[], mask: readonly number[]): number[] {
  const moved = new Array<number>(rewards.length).fill(0);
  let last = -1;
  for (const [t, reward] of rewards.entries()) {
    if (mask[t]) last = t;
    if (last >= 0) moved[last]! += reward;
  }
  return moved;
}
