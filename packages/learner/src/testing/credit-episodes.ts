import { creditTrajectories } from "../credit/credit-trajectories.js";
import type { CreditOptions } from "../credit/credited-trajectory.js";
import type { CreditedStep, CreditState } from "../credit/step-credit.js";

/** Credit of steps that are one token each, each episode a task of its own. */
export function creditEpisodes(
  episodes: readonly (readonly CreditedStep[])[],
  state: CreditState,
  options: CreditOptions,
): { readonly advantages: readonly (readonly number[])[]; readonly state: CreditState } {
  const trajectories = episodes.map((steps, i) => ({
    id: `${i}`,
    task: `${i}`,
    steps: steps.map((step) => ({ ...step, mask: [1], anchor: "" })),
    terminated: true,
  }));
  const credited = creditTrajectories(trajectories, state, options);
  return {
    advantages: credited.credits.map((steps) => steps.map(({ advantages }) => advantages[0]!)),
    state: credited.state,
  };
}
