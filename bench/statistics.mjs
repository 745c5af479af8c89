// Statistics over seeds.
import { createRandom } from "@afterstate/core";

export const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** The mean with its 95 % percentile bootstrap interval. */
export function interval(values) {
  const random = createRandom(1);
  const means = Array.from({ length: 4000 }, () => mean(values.map(() => random.pick(values)))).sort((a, b) => a - b);
  return { mean: mean(values), low: means[99], high: means[3899] };
}

/**
 * Exact paired permutation test (Fisher 1935), one-sided: the share of the 2^n ways to swap the two of each pair whose mean difference b − a is
 * at least the one observed. Small: a is less than b.
 */
export function pairedPermutation(a, b) {
  const differences = a.map((value, i) => b[i] - value);
  const observed = differences.reduce((sum, difference) => sum + difference, 0);
  const ways = 2 ** differences.length;
  let atLeast = 0;
  for (let way = 0; way < ways; way++) {
    const sum = differences.reduce((total, difference, i) => total + ((way >> i) & 1 ? -difference : difference), 0);
    if (sum >= observed - 1e-9) atLeast++;
  }
  return atLeast / ways;
}
