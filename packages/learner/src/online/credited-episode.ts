import type { CreditedTrajectory } from "../credit/credited-trajectory.js";
import { stateKeyOf } from "../credit/step-credit.js";
import type { JudgedEpisode } from "./judged-episode.js";

/**
 * A live episode as credit sees it. Episodes that began with the same messages are attempts at the same task, and steps that saw the
 * same messages are compared where credit compares steps.
 *
 * @param rewards of its steps; undefined where nothing is known.
 */
export function creditedEpisode(
  { episodeId, steps }: JudgedEpisode,
  rewards: readonly (number | undefined)[],
): CreditedTrajectory {
  const anchors = steps.map(({ messages }) => JSON.stringify(messages));
  return {
    id: episodeId,
    task: anchors[0] ?? episodeId,
    terminated: true,
    steps: steps.map(({ kind, messages, tokens }, k) => ({
      kind,
      stateKey: stateKeyOf(messages),
      reward: rewards[k],
      anchor: anchors[k]!,
      // A step of another model has a place in the chain all the same.
      mask: tokens?.mask ?? [1],
    })),
  };
}
