/** Values of the mean that are tried. */
const GRID = 200;
/** Bets are at most this share of what would ruin. */
const MOST = 0.5;

/**
 * What one episode of a trial says of a text's effect on the reward: with the probability ½ with which it was shown, without bias.
 *
 *   d = r s/p − r (1 − s)/(1 − p) = ±2 r,   E d = E[r | shown] − E[r | withheld]
 *   Horvitz and Thompson, JASA 47, 1952
 */
export function differenceOf(shown: boolean, reward: number): number {
  return shown ? 2 * reward : -2 * reward;
}

/**
 * An interval for the mean of bounded observations that holds at all times at once, however often one looks and whenever one stops: the means m
 * against which nobody could have multiplied a stake by 1/α with bets that were laid before each observation.
 *
 *   K⁺_t(m) = Π (1 + λ_i (x_i − m)),  K⁻_t(m) = Π (1 − λ_i (x_i − m)),  C_t = {m : max(K⁺, K⁻) / 2 < 1/α}
 *   λ_t = min(√(2 ln(2/α) / (σ̂²_{t−1} t ln(t + 1))), c/m or c/(1 − m))
 *   Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting, arXiv:2010.09686, Eq. 23–27; Ville's inequality
 *
 * @param values each between `low` and `high`, in the order in which they came. [episodes]
 * @returns the interval for their mean.
 */
export function bettingInterval(
  values: readonly number[],
  bounds: { readonly low: number; readonly high: number; readonly alpha: number },
): { readonly low: number; readonly high: number } {
  const { low, high, alpha } = bounds;
  const width = high - low;
  const scaled = values.map((value) => (value - low) / width);
  const bets = betsOf(scaled, alpha);
  const kept = Array.from({ length: GRID + 1 }, (_, i) => i / GRID).filter(
    (mean) => !isRefuted(scaled, bets, mean, alpha),
  );
  if (kept.length === 0) return { low, high };
  // A mean that was refuted lies between kept and refuted grid points: the refuted neighbours are the safe ends.
  const [first, last] = [Math.max(0, kept[0]! - 1 / GRID), Math.min(1, kept.at(-1)! + 1 / GRID)];
  return { low: low + width * first, high: low + width * last };
}

/** λ before it is cut, from what came before: σ̂²_{t−1} t = ¼ + Σ (x_i − μ̂_i)², μ̂_i = (½ + Σ x) / (i + 1). */
function betsOf(values: readonly number[], alpha: number): readonly number[] {
  let [sum, squares] = [0.5, 0.25];
  return values.map((value, i) => {
    const t = i + 1;
    const bet = Math.sqrt((2 * Math.log(2 / alpha)) / (squares * Math.log(t + 1)));
    sum += value;
    squares += (value - sum / (t + 1)) ** 2;
    return bet;
  });
}

function isRefuted(values: readonly number[], bets: readonly number[], mean: number, alpha: number): boolean {
  const limit = Math.log(2 / alpha);
  let [above, below] = [0, 0];
  for (const [i, value] of values.entries()) {
    above += Math.log1p(Math.min(bets[i]!, MOST / mean) * (value - mean));
    below += Math.log1p(-Math.min(bets[i]!, MOST / (1 - mean)) * (value - mean));
    if (above >= limit || below >= limit) return true;
  }
  return false;
}
