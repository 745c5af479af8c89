import { whitenSteps } from "../objectives/whiten.js";
import { creditByComparison } from "./credit-by-comparison.js";
import { creditByHierarchy, creditByTokens } from "./credit-by-value.js";
import {
  type CreditedTrajectory,
  type CreditName,
  type CreditOptions,
  type PartialCredit,
  spreadOverSteps,
  type TokenCredit,
} from "./credited-trajectory.js";
import { scaleByKind, takeInMagnitudes } from "./kind-scale.js";
import { type CreditState, creditEpisodes } from "./step-credit.js";

/**
 * Rewards of steps become advantages of tokens, by any credit there is: the one door for live episodes and rollouts alike. Rewards are
 * in units of their kind of action first, see `scaleByKind`.
 *
 * @returns credit of [trajectory][step], on the values from before the batch, and the state after it.
 */
export function creditTrajectories(
  trajectories: readonly CreditedTrajectory[],
  state: CreditState,
  options: CreditOptions,
): { readonly credits: readonly (readonly TokenCredit[])[]; readonly state: CreditState } {
  const ofKinds = (steps: CreditedTrajectory["steps"]) => ({
    kinds: steps.map(({ kind }) => kind),
    rewards: steps.map(({ reward }) => reward),
  });
  const magnitudes = takeInMagnitudes(
    state.magnitudes,
    ofKinds(trajectories.flatMap(({ steps }) => steps)),
    options.decay,
  );
  const scaled = trajectories.map((trajectory) => {
    if (options.credit === "rewarded") return trajectory; // its threshold is of rewards as they are
    const rewards = scaleByKind(ofKinds(trajectory.steps), magnitudes);
    return { ...trajectory, steps: trajectory.steps.map((step, k) => ({ ...step, reward: rewards[k] })) };
  });
  if (typeof options.credit === "string") {
    const { credits, values } = creditBy(options.credit, scaled, state.values, options);
    return { credits, state: { values, magnitudes } };
  }
  // Each part has values of its own: the same state promises different returns to different credits.
  let { values } = state;
  const parts = options.credit.map(({ credit, weight }) => {
    const own = scaled.map((trajectory) => ({
      ...trajectory,
      steps: trajectory.steps.map((step) => ({ ...step, stateKey: `${credit}/${step.stateKey}` })),
    }));
    const part = creditBy(credit, own, values, options);
    values = part.values;
    return { credits: part.credits, weight };
  });
  const credits = scaled.map(({ steps }, i) =>
    steps.map(({ mask }, k) => {
      const of = parts.map(({ credits, weight }) => ({ ...credits[i]![k]!, weight }));
      return {
        advantages: mask.map((_, t) => of.reduce((sum, { advantages, weight }) => sum + weight * advantages[t]!, 0)),
        mask: mask.map((_, t) => (of.some((part) => part.mask[t]) ? 1 : 0)),
      };
    }),
  );
  return { credits, state: { values, magnitudes } };
}

function creditBy(
  credit: CreditName,
  trajectories: readonly CreditedTrajectory[],
  values: CreditState["values"],
  options: CreditOptions,
): PartialCredit {
  switch (credit) {
    case "step":
    case "broadcast": {
      const episodes = trajectories.map(({ steps }) => steps);
      const credited = creditEpisodes(episodes, values, { ...options, credit });
      const advantages =
        credit === "step" && options.whiten === true ? whitened(credited.advantages) : credited.advantages;
      return { credits: spreadOverSteps(trajectories, advantages), values: credited.values };
    }
    case "token":
      return creditByTokens(trajectories, values, options);
    case "hierarchical":
      return creditByHierarchy(trajectories, values, options);
    default:
      return creditByComparison(credit, trajectories, values, options);
  }
}

function whitened(advantages: readonly (readonly number[])[]): number[][] {
  const flat = whitenSteps(advantages.flat()).values();
  return advantages.map((steps) => steps.map(() => flat.next().value!));
}
