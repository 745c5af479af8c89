import { AgentError } from "@afterstate/core";
import { placesByName } from "./step-rows.js";

/** How rewards of a group become advantages. */
export interface GroupOptions {
  /** "std": r − μ over (σ + ε), as GRPO. "none": r − μ, as Dr. GRPO. */
  readonly scale: "std" | "none";
  /** 1: σ of a sample; 0: of a population. */
  readonly degreesOfFreedom: 0 | 1;
  /** ε. */
  readonly epsilon: number;
  /** What a group of one gets: "zero", for it compares with nothing; "raw", its reward as if μ = 0 and σ = 1. */
  readonly singleton: "zero" | "raw";
}

/** GRPO with the safer choice for groups of one. */
export const GROUP_DEFAULTS: GroupOptions = { scale: "std", degreesOfFreedom: 1, epsilon: 1e-6, singleton: "zero" };

/**
 * Advantages by comparison within groups, of the same task.
 *
 *   Â_i = (r_i − μ_G) / (σ_G + ε)        GRPO, arXiv:2402.03300, §4.1.2
 *   Â_i = r_i − μ_G                      Dr. GRPO, arXiv:2503.20783
 *
 * A group of equal rewards gets exactly 0: its mean may differ from them by a rounding error that 1/ε would blow up. Groups go by
 * name, not by neighbourhood, so that filtered and shuffled batches stay right.
 *
 * @param groups the group's name of each reward. @returns in the order of the rewards.
 * @throws AgentError `tensor/shape`.
 */
export function groupAdvantages(
  rewards: readonly number[],
  groups: readonly string[],
  options: GroupOptions = GROUP_DEFAULTS,
): number[] {
  const { scale, degreesOfFreedom, epsilon } = options;
  return byGroup(rewards, groups, (members) => {
    const divisor = (deviation: number) => (scale === "std" ? deviation + epsilon : 1);
    if (members.length === 1) return [options.singleton === "raw" ? members[0]! / divisor(1) : 0];
    if (members.every((reward) => reward === members[0])) return members.map(() => 0);
    const mean = members.reduce((sum, reward) => sum + reward, 0) / members.length;
    const squares = members.reduce((sum, reward) => sum + (reward - mean) ** 2, 0);
    const deviation = Math.sqrt(squares / (members.length - degreesOfFreedom));
    return members.map((reward) => (reward - mean) / divisor(deviation));
  });
}

/**
 * Each reward against the mean of the others in its group.
 *
 *   Â_i = r_i − (1/(n − 1)) Σ_{j≠i} r_j = n/(n − 1) (r_i − μ_G)        RLOO, arXiv:2402.14740
 *
 * @throws AgentError `tensor/shape`.
 */
export function leaveOneOut(
  rewards: readonly number[],
  groups: readonly string[],
  { singleton }: Pick<GroupOptions, "singleton"> = GROUP_DEFAULTS,
): number[] {
  return byGroup(rewards, groups, (members) => {
    if (members.length === 1) return [singleton === "raw" ? members[0]! : 0];
    if (members.every((reward) => reward === members[0])) return members.map(() => 0);
    const sum = members.reduce((total, reward) => total + reward, 0);
    return members.map((reward) => reward - (sum - reward) / (members.length - 1));
  });
}

/** Applies `of` to the members of each group, and puts the results where the members were. */
function byGroup(
  numbers: readonly number[],
  groups: readonly string[],
  of: (members: readonly number[]) => readonly number[],
): number[] {
  if (numbers.length !== groups.length)
    throw new AgentError("tensor/shape", `${numbers.length} rewards do not go with ${groups.length} names of groups`);
  const results = new Array<number>(numbers.length);
  for (const places of placesByName(groups).values()) {
    const values = of(places.map((i) => numbers[i]!));
    for (const [k, i] of places.entries()) results[i] = values[k]!;
  }
  return results;
}
