/** One logged choice with its reward, and what another policy π would have done there. */
export interface WeighedChoice {
  readonly reward: number;
  /** w = π(a | x) / p, of the choice a that was made with probability p. */
  readonly weight: number;
  /** r̂(x, a): what a model expected of the choice, before it knew this reward. */
  readonly expected: number;
  /** Σ_b π(b | x) r̂(x, b): what it expected of π. */
  readonly expectedOfPolicy: number;
  /** Choices of one cluster, as of one session, are no independent observations. */
  readonly cluster: string;
}

/** A mean with its 95 % interval. */
export interface ValueEstimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** What is estimated of a policy: the mean reward that it would have had, and how much more that is than what the logged choices had. */
export interface PolicyEstimate {
  readonly value: ValueEstimate;
  readonly lift: ValueEstimate;
}

/**
 * Inverse propensity scoring. No bias; much noise where π and the logged choices differ.
 *
 *   V̂ = 1/n Σ w_i r_i,  lift = 1/n Σ (w_i − 1) r_i        Horvitz and Thompson, JASA 47, 1952
 */
export function inversePropensity(choices: readonly WeighedChoice[]): PolicyEstimate {
  return {
    value: clusteredMean(choices, ({ weight, reward }) => weight * reward),
    lift: clusteredMean(choices, ({ weight, reward }) => (weight - 1) * reward),
  };
}

/**
 * The same divided by its weights, which do not add up to n by chance: a little bias for much less noise.
 *
 *   V̂ = Σ w_i r_i / Σ w_i        Swaminathan and Joachims, The Self-Normalized Estimator for Counterfactual Learning, NeurIPS 2015, Eq. 9
 *   intervals by the delta method: V̂ is the mean of V̂ + w_i (r_i − V̂) / w̄ to first order
 */
export function selfNormalised(choices: readonly WeighedChoice[]): PolicyEstimate {
  const total = choices.reduce((sum, { weight }) => sum + weight, 0);
  const value = total === 0 ? 0 : choices.reduce((sum, { weight, reward }) => sum + weight * reward, 0) / total;
  const scale = total === 0 ? 0 : choices.length / total;
  const near = ({ weight, reward }: WeighedChoice) => value + scale * weight * (reward - value);
  return {
    value: clusteredMean(choices, near),
    lift: clusteredMean(choices, (choice) => near(choice) - choice.reward),
  };
}

/**
 * Doubly robust: the model's guess, corrected by what is left of the rewards. Right where either propensities or model are, and less noisy
 * the better the model is.
 *
 *   V̂ = 1/n Σ [Σ_b π(b | x_i) r̂(x_i, b) + w_i (r_i − r̂(x_i, a_i))]        Dudík, Langford and Li, arXiv:1103.4601, Eq. 2
 */
export function doublyRobust(choices: readonly WeighedChoice[]): PolicyEstimate {
  const robust = ({ weight, reward, expected, expectedOfPolicy }: WeighedChoice) =>
    expectedOfPolicy + weight * (reward - expected);
  return {
    value: clusteredMean(choices, robust),
    lift: clusteredMean(choices, (choice) => robust(choice) - choice.reward),
  };
}

/**
 * Mean with its normal interval, observations of one cluster taken together.
 *
 *   z = 1.96,  s² = C/(C − 1) Σ_c (Σ_{i ∈ c} (y_i − ȳ))² / n²        Liang and Zeger, Biometrika 73, 1986; C clusters
 */
function clusteredMean(choices: readonly WeighedChoice[], of: (choice: WeighedChoice) => number): ValueEstimate {
  const n = choices.length;
  const values = choices.map(of);
  const mean = n === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / n;
  const clusters = new Map<string, number>();
  for (const [i, { cluster }] of choices.entries())
    clusters.set(cluster, (clusters.get(cluster) ?? 0) + values[i]! - mean);
  const squares = [...clusters.values()].reduce((sum, deviation) => sum + deviation * deviation, 0);
  const many = clusters.size;
  if (many < 2) return { value: mean, low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY };
  const error = Math.sqrt(((many / (many - 1)) * squares) / (n * n));
  return { value: mean, low: mean - 1.96 * error, high: mean + 1.96 * error };
}
