import type { RewardStatistics } from "../online/reward-watch.js";

/** A difference of two means with its interval. */
export interface Difference {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/**
 * The difference of two means with Welch's interval (Welch 1947), for unequal variances.
 *
 *   (m_a − m_b) ± t √(s_a + s_b),  s = v/n,  ν = (s_a + s_b)² / (s_a²/(n_a − 1) + s_b²/(n_b − 1))
 *
 * @param z the interval's width in standard errors for large n, e.g. 1.96 for 95 %; t is widened from it by ν.
 * @returns undefined while one side has fewer than two numbers.
 */
export function welchDifference(
  a: RewardStatistics | undefined,
  b: RewardStatistics | undefined,
  z: number,
): Difference | undefined {
  if (a === undefined || b === undefined || a.count < 2 || b.count < 2) return undefined;
  const [sa, sb] = [a, b].map(({ count, squares }) => squares / (count - 1) / count) as [number, number];
  const value = a.mean - b.mean;
  if (sa + sb === 0) return { value, low: value, high: value };
  const freedom = (sa + sb) ** 2 / (sa ** 2 / (a.count - 1) + sb ** 2 / (b.count - 1));
  const reach = studentQuantile(z, freedom) * Math.sqrt(sa + sb);
  return { value, low: value - reach, high: value + reach };
}

/**
 * Student's quantile from the normal one (Abramowitz and Stegun 1964, 26.7.5, to the third order).
 *
 *   t ≈ z + (z³ + z)/4ν + (5z⁵ + 16z³ + 3z)/96ν² + (3z⁷ + 19z⁵ + 17z³ − 15z)/384ν³
 */
export function studentQuantile(z: number, freedom: number): number {
  return (
    z +
    (z ** 3 + z) / (4 * freedom) +
    (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * freedom ** 2) +
    (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / (384 * freedom ** 3)
  );
}
