import { isGuess, weighSignals } from "../signals/weigh-signals.js";
import type { JudgeRequest } from "../types.js";
import { beforeReaction } from "./before-reaction.js";
import type { JudgedEpisode } from "./judged-episode.js";

/** How episodes ended that anybody but the head said anything about: by their last step with evidence. */
export function outcomesOf(
  episodes: readonly JudgedEpisode[],
): readonly { readonly steps: readonly JudgeRequest[]; readonly good: boolean }[] {
  return episodes.flatMap(({ steps }) => {
    const weighed = steps.map(({ signals }) => weighSignals(signals.filter((signal) => !isGuess(signal))));
    const reward = weighed.findLast(({ evidence }) => evidence)?.reward;
    return reward === undefined || reward === 0 ? [] : [{ steps: steps.map(beforeReaction), good: reward > 0 }];
  });
}

/** How many hints of episodes were measured and did no good. */
export function rejectedHints(episodes: readonly JudgedEpisode[]): number {
  const signals = episodes.flatMap(({ steps }) => steps.flatMap((step) => step.signals));
  return signals.filter((signal) => signal.kind === "hint" && signal.rejected !== undefined).length;
}
