/** Reward of the episodes that one version answered: count, mean and sum of squared deviations (Welford). */
export interface RewardStatistics {
  readonly count: number;
  readonly mean: number;
  readonly squares: number;
}

/** When a version is rolled back by itself. */
export interface RollbackRule {
  /** Episodes that both versions must have been judged on. */
  readonly episodes: number;
  /** Width of the interval in standard errors. */
  readonly z: number;
}

/** Takes one number in. Welford 1962: M ← M + (x − M)/n, S ← S + (x − M_before)(x − M). */
export function addReward(statistics: RewardStatistics | undefined, reward: number): RewardStatistics {
  const { count, mean, squares } = statistics ?? { count: 0, mean: 0, squares: 0 };
  const moved = mean + (reward - mean) / (count + 1);
  return { count: count + 1, mean: moved, squares: squares + (reward - mean) * (reward - moved) };
}

/**
 * Whether live reward fell: the upper end of the normal interval of the difference of means is below 0.
 *
 *   (m_s − m_p) + z √(v_s/n_s + v_p/n_p) < 0        s serving, p its parent, v the unbiased variances
 */
export function rewardFell(
  serving: RewardStatistics | undefined,
  parent: RewardStatistics | undefined,
  rule: RollbackRule,
): boolean {
  if (!serving || !parent || serving.count < rule.episodes || parent.count < rule.episodes) return false;
  const variance = ({ count, squares }: RewardStatistics) => squares / (count - 1) / count;
  return serving.mean - parent.mean + rule.z * Math.sqrt(variance(serving) + variance(parent)) < 0;
}
