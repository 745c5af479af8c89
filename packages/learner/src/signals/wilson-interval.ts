/** A share with an interval. */
export interface Share {
  readonly value: number;
  readonly low: number;
  readonly high: number;
  /** Of how many. */
  readonly n: number;
}

/**
 * A share with its score interval (Wilson, JASA 22, 1927). Nothing seen: anything from 0 to 1.
 *
 *   (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n)
 *
 * @param z 1.96 for 95 %.
 */
export function wilsonInterval(successes: number, n: number, z = 1.96): Share {
  if (n === 0) return { value: 0, low: 0, high: 1, n };
  const p = successes / n;
  const centre = p + (z * z) / (2 * n);
  const spread = z * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n));
  const scale = 1 + (z * z) / n;
  return { value: p, low: Math.max(0, (centre - spread) / scale), high: Math.min(1, (centre + spread) / scale), n };
}
