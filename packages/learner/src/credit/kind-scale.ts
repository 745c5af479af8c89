import { meanOf, type RunningMean, takeIn } from "./running-mean.js";

/** Mean |r| of each action kind's rewards that are not 0. */
export type KindMagnitudes = Readonly<Record<string, RunningMean>>;

/** Rewards of steps with the kinds of action that got them. [steps] */
export interface RewardsOfKinds {
  readonly kinds: readonly string[];
  /** Undefined when nothing was learned about the step. */
  readonly rewards: readonly (number | undefined)[];
}

/** Takes the magnitudes of a batch's rewards in. @param decay β of the running means. */
export function takeInMagnitudes(
  magnitudes: KindMagnitudes,
  { kinds, rewards }: RewardsOfKinds,
  decay: number,
): KindMagnitudes {
  const after: Record<string, RunningMean> = { ...magnitudes };
  for (const [k, kind] of kinds.entries()) {
    const reward = rewards[k];
    if (reward) after[kind] = takeIn(after[kind], Math.abs(reward), decay);
  }
  return after;
}

/**
 * Rewards in units of their action kind.
 *
 *   r'_k = r_k / M(kind_k),  M(kind) a running mean of |r| over that kind's rewards ≠ 0
 *
 * A kind with rewards a hundred times larger does not drown the others. Nothing is centred per kind: subtracting each kind's own mean
 * would make every kind look equally good and so erase the choice between kinds (to call a tool or to answer at once), which is what
 * is to be learned.
 *
 * @returns [steps]
 */
export function scaleByKind({ kinds, rewards }: RewardsOfKinds, magnitudes: KindMagnitudes): (number | undefined)[] {
  return rewards.map((reward, k) => reward && reward / meanOf(magnitudes[kinds[k]!], 1));
}
