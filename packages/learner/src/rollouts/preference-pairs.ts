import type { TrainingSample } from "../types.js";
import type { TrajectoryGroup } from "./collect-rollouts.js";

/**
 * The best and the worst attempt of each group whose outcomes differ, as the two sides of a preference: whole trajectories at the same
 * task, what was observed in them masked as ever.
 */
export function preferencePairs(groups: readonly TrajectoryGroup[]): TrainingSample[] {
  return groups.flatMap(({ task, trajectories }) => {
    const ranked = trajectories.toSorted((a, b) => b.outcome - a.outcome);
    const [best, worst] = [ranked[0], ranked.at(-1)];
    if (best === undefined || worst === undefined || best.outcome === worst.outcome) return [];
    return [best, worst].flatMap((side) =>
      side.steps.map(({ of, policyVersion, tokens }) => ({
        of,
        policyVersion,
        tokens,
        advantages: tokens.ids.map(() => 0),
        pair: { id: task, chosen: side === best },
      })),
    );
  });
}
