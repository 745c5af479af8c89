import { placesByName } from "./step-rows.js";

/** Where answers become too long. Lengths are in tokens that the policy sampled. */
export interface OverlongOptions {
  /** L_max. */
  readonly maxLength: number;
  /** L_buffer: the penalty begins that many tokens before L_max. */
  readonly bufferLength: number;
  /** What an answer of L_max loses. */
  readonly factor: number;
  /** What is beyond L_max: "hold" loses no more than at L_max, "grow" goes on. The same where sampling stops at L_max. */
  readonly beyond?: "hold" | "grow";
}

/**
 * A penalty that grows before the limit is reached.
 *
 *   p = −factor · min(1, max(0, (length − (L_max − L_buffer)) / L_buffer))        DAPO, arXiv:2503.14476, soft overlong punishment
 *
 * Advantages are of the shaped reward, the filter below of the reward itself.
 */
export function overlongPenalty(
  length: number,
  { maxLength, bufferLength, factor, beyond = "hold" }: OverlongOptions,
): number {
  const share = (length - (maxLength - bufferLength)) / bufferLength;
  if (share <= 0) return 0;
  return -factor * (beyond === "hold" ? Math.min(1, share) : share);
}

/**
 * The groups that can teach anything: those with different rewards (DAPO, arXiv:2503.14476, dynamic sampling).
 *
 * @param rewards before any shaping.
 * @param leastDeviation σ of the group's rewards, of a sample, must be greater.
 * @param singleton whether a group of one is kept: where advantages of groups of one are 0 it teaches nothing.
 * @returns names of the groups, in the order of their first.
 */
export function informativeGroups(
  rewards: readonly number[],
  groups: readonly string[],
  {
    leastDeviation = 0,
    singleton = "drop",
  }: { readonly leastDeviation?: number; readonly singleton?: "drop" | "keep" } = {},
): string[] {
  return [...placesByName(groups)].flatMap(([name, places]) => {
    const members = places.map((i) => rewards[i]!);
    if (members.length === 1) return singleton === "keep" ? [name] : [];
    if (members.every((reward) => reward === members[0])) return [];
    const mean = members.reduce((sum, reward) => sum + reward, 0) / members.length;
    const squares = members.reduce((sum, reward) => sum + (reward - mean) ** 2, 0);
    return Math.sqrt(squares / (members.length - 1)) > leastDeviation ? [name] : [];
  });
}
