import { GROUP_DEFAULTS, type GroupOptions, groupAdvantages } from "./group-statistics.js";

/** What a trajectory left out. Tokens. */
export interface Omission {
  readonly taskReward: number;
  readonly omittedThoughtTokens: number;
  readonly omittedObservationTokens: number;
  /** Of the trajectory as it would have been. */
  readonly totalTokens: number;
}

/**
 * A reward for thoughts and observations that were not needed.
 *
 *   R_omit = (omitted thought + omitted observation) / total, 0 where R_task = 0        Agent-Omit, arXiv:2602.04284
 *   r = (1 − μ) R_task + μ R_omit
 *
 * Without the task there is nothing to be brief about: a failure that omits much earns nothing.
 */
export function omissionReward(
  { taskReward, omittedThoughtTokens, omittedObservationTokens, totalTokens }: Omission,
  { mu }: { readonly mu: number },
): { readonly omission: number; readonly reward: number } {
  const omission = taskReward === 0 ? 0 : (omittedThoughtTokens + omittedObservationTokens) / totalTokens;
  return { omission, reward: (1 - mu) * taskReward + mu * omission };
}

/** Credit of full trajectories, and of the partial ones that were sampled again from where they omitted something. */
export interface OmissionCredit {
  readonly fullAdvantages: readonly number[];
  readonly partialAdvantages: readonly number[];
  /** What each row counts, spread over its tokens by `rowMeanWeights`: 1/n, and 1/(n p(y_i)) for each of the p(y_i) partials of i. */
  readonly fullWeights: readonly number[];
  readonly partialWeights: readonly number[];
}

/**
 * Dual sampling: full trajectories learn from r, partial ones from R_task alone.
 *
 *   J = (1/n) Σ_i [ J_GRPO(y_i) + (1/p(y_i)) Σ_j J_GRPO(y'_ij) ] − β KL        Agent-Omit, arXiv:2602.04284
 *
 * Partial trajectories are compared with those of the same prompt, apart from the full ones: rewards with and without omission do
 * not compare. The paper leaves this open.
 *
 * @param full prompt and r of each full trajectory. @param partial index of its full trajectory, and R_task.
 */
export function omissionCredit(
  full: readonly { readonly prompt: string; readonly reward: number }[],
  partial: readonly { readonly parent: number; readonly taskReward: number }[],
  options: GroupOptions = GROUP_DEFAULTS,
): OmissionCredit {
  const parts = full.map((_, i) => partial.filter(({ parent }) => parent === i).length);
  return {
    fullAdvantages: groupAdvantages(
      full.map(({ reward }) => reward),
      full.map(({ prompt }) => prompt),
      options,
    ),
    partialAdvantages: groupAdvantages(
      partial.map(({ taskReward }) => taskReward),
      partial.map(({ parent }) => full[parent]!.prompt),
      options,
    ),
    fullWeights: full.map(() => 1 / full.length),
    partialWeights: partial.map(({ parent }) => 1 / (full.length * parts[parent]!)),
  };
}
