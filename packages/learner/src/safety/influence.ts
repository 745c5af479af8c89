import type { TrainingSample } from "../types.js";

/** How much of an update one user may be. */
export interface InfluenceRule {
  /** Of the weight of a batch, 0–1; never less than the even share of its users. */
  readonly maxShare: number;
  /** With fewer users than this nobody is capped. */
  readonly minUsers: number;
}

/** What a deployment of many users keeps to. */
export const INFLUENCE_RULE: InfluenceRule = { maxShare: 1 / 3, minUsers: 3 };

const ROUNDING = 1e-9;

/** Samples whose users weigh no more than they may. */
export interface CappedSamples<T> {
  readonly samples: readonly T[];
  /** The users that were held back. */
  readonly capped: readonly string[];
}

/**
 * Scales down the samples of users who would weigh more than their share.
 *
 *   w_u = Σ_i∈u [ Σ_t |Â_it| + u_i n_i ]              reward's part and the hint's, n_i the tokens it concerns
 *   s_u = min(1, c / w_u),  c = p Σ_v s_v w_v         p = max(maxShare, 1 / users of the batch)
 *
 * c is found by leaving out the heaviest users one after the other: with k of them at the cap, c = p R / (1 − k p), R the weight of
 * the others. Both parts are scaled, for both move the policy.
 *
 * @param users that the deployment is known to have.
 */
export function capInfluence<T extends TrainingSample>(
  samples: readonly T[],
  userOf: (sample: T) => string,
  users: number,
  { maxShare, minUsers }: InfluenceRule,
): CappedSamples<T> {
  const weights = new Map<string, number>();
  for (const sample of samples) {
    const [user, weight] = [userOf(sample), weightOf(sample)];
    if (weight > 0) weights.set(user, (weights.get(user) ?? 0) + weight);
  }
  if (Math.max(users, weights.size) < minUsers) return { samples, capped: [] };
  const cap = capOf([...weights.values()], Math.max(maxShare, 1 / weights.size));
  const isCapped = (weight: number) => weight > cap * (1 + ROUNDING);
  const scaled = samples.map((sample) => {
    const weight = weights.get(userOf(sample)) ?? 0;
    return isCapped(weight) ? scaledSample(sample, cap / weight) : sample;
  });
  return { samples: scaled, capped: [...weights].flatMap(([user, weight]) => (isCapped(weight) ? [user] : [])) };
}

/** The most that a user may weigh; the search ends at the latest where k p would reach 1, for there R alone outweighs the next. */
function capOf(weights: readonly number[], share: number): number {
  const sorted = weights.toSorted((a, b) => b - a);
  let rest = sorted.reduce((sum, weight) => sum + weight, 0);
  for (const [k, weight] of sorted.entries()) {
    const cap = (share * rest) / (1 - k * share);
    if (weight <= cap * (1 + ROUNDING)) return k === 0 ? Number.POSITIVE_INFINITY : cap;
    rest -= weight;
  }
  return sorted.at(-1) ?? 0;
}

/** What a sample adds to an update, in tokens of advantage 1. */
function weightOf({ advantages, tokens, teacherPromptIds, teacherWeight = 1 }: TrainingSample): number {
  const rewarded = advantages.reduce((sum, advantage) => sum + Math.abs(advantage), 0);
  const counted = tokens.mask.reduce((sum, counts) => sum + counts, 0);
  return rewarded + (teacherPromptIds === undefined ? 0 : teacherWeight * counted);
}

function scaledSample<T extends TrainingSample>(sample: T, scale: number): T {
  const advantages = sample.advantages.map((advantage) => advantage * scale);
  if (sample.teacherPromptIds === undefined) return { ...sample, advantages };
  return { ...sample, advantages, teacherWeight: (sample.teacherWeight ?? 1) * scale };
}
