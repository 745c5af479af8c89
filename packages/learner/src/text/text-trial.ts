import { bettingInterval } from "./betting-interval.js";
import type { LearnedText } from "./learned-text-state.js";

/** Share of texts without effect that a trial may take for good or bad. */
export const TRIAL_ALPHA = 0.05;
/** A text that has shown no effect after so many episodes is let go. */
export const MOST_TRIALS = 400;

/** The interval of a text's effect on the reward, −2 to 2: valid at every moment, so that the trial may end at any. */
export function effectOf({ trial }: Pick<LearnedText, "trial">): { readonly low: number; readonly high: number } {
  return bettingInterval(trial.differences, { low: -2, high: 2, alpha: TRIAL_ALPHA });
}

/** A candidate as its trial leaves it: active once its effect is certainly above 0, retired once it is below or the trial has been long. */
export function judgeTrial(text: LearnedText): LearnedText {
  if (text.state !== "candidate") return text;
  const { low, high } = effectOf(text);
  if (low > 0) return { ...text, state: "active" };
  if (high < 0 || text.trial.differences.length >= MOST_TRIALS) return { ...text, state: "retired" };
  return text;
}
