import { AgentError } from "@afterstate/core";

/** γ and λ of generalized advantage estimation. */
export interface GaeOptions {
  /** Discount of the next step's value. */
  readonly gamma: number;
  /** 0: one-step differences of the value alone; 1: the whole return, less the value. */
  readonly lambda: number;
}

/**
 * Generalized advantage estimation over the steps of one episode.
 *
 *   δ_k = r_k + γ V(o_{k+1}) − V(o_k)        StepPO, arXiv:2604.18401; PPO, arXiv:1707.06347, Eq. 12
 *   Â_k = δ_k + γ λ Â_{k+1}                  Eq. 11, written backwards
 *
 * Differs from the papers: a step whose reward is undefined (a judge that abstained) is no evidence, so its δ is 0.
 *
 * @param rewards r_k of each step. [steps]
 * @param values V(o_k) of each step. [steps]
 * @param bootstrap V(o_T): 0 if the episode terminated, the baseline's value if it was truncated.
 * @returns Â_k. [steps]
 * @throws AgentError `tensor/shape` if rewards and values differ in length.
 */
export function stepGae(
  rewards: readonly (number | undefined)[],
  values: readonly number[],
  { gamma, lambda }: GaeOptions,
  bootstrap = 0,
): number[] {
  if (rewards.length !== values.length)
    throw new AgentError("tensor/shape", `${rewards.length} rewards do not go with ${values.length} values`);
  const advantages = new Array<number>(rewards.length).fill(0);
  let next = 0;
  for (let k = rewards.length - 1; k >= 0; k--) {
    const reward = rewards[k];
    const delta = reward === undefined ? 0 : reward + gamma * (values[k + 1] ?? bootstrap) - values[k]!;
    next = delta + gamma * lambda * next;
    advantages[k] = next;
  }
  return advantages;
}

/**
 * Generalized advantage estimation over the tokens of one sequence, skipping those that the policy did not sample:
 * they carry neither reward nor value, and cost no discount. Put every reward on a token whose mask is 1.
 *
 *   δ_t = r_t + γ V_{t'} − V_t,  Â_t = δ_t + γ λ Â_{t'},  t' the next token with mask 1
 *
 * @returns Â_t, 0 where the mask is 0. [tokens]
 */
export function tokenGae(
  rewards: readonly number[],
  values: readonly number[],
  mask: readonly number[],
  { gamma, lambda }: GaeOptions,
): number[] {
  const advantages = new Array<number>(rewards.length).fill(0);
  let nextValue = 0;
  let next = 0;
  for (let t = rewards.length - 1; t >= 0; t--) {
    if (!mask[t]) continue;
    next = rewards[t]! + gamma * nextValue - values[t]! + gamma * lambda * next;
    nextValue = values[t]!;
    advantages[t] = next;
  }
  return advantages;
}
