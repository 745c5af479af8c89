/** The exploration constant of UCB1 for values in [0, 1]: √2. */
export const UCB1_EXPLORATION = Math.SQRT2;

/**
 * The upper confidence bound of an arm: what it may be worth, judged optimistically.
 *
 *   x̄_i + c · √(ln n / n_i),   c = √2        Auer, Cesa-Bianchi and Fischer, Machine Learning 47, 2002, UCB1
 *
 * @param mean x̄_i, the mean value of the arm.
 * @param visits n_i, how often it was played. An arm that was never played comes before all others.
 * @param totalVisits n, how often any arm was played.
 */
export function ucb1(mean: number, visits: number, totalVisits: number, exploration = UCB1_EXPLORATION): number {
  return visits === 0 ? Number.POSITIVE_INFINITY : mean + exploration * Math.sqrt(Math.log(totalVisits) / visits);
}
