import { GROUP_DEFAULTS, type GroupOptions, groupAdvantages } from "./group-statistics.js";
import { alongTrajectories, rowsByTrajectory, type StepRows } from "./step-rows.js";

/** Steps of several trajectories of several prompts. [row] */
export interface AnchoredSteps extends StepRows {
  readonly prompts: readonly string[];
  /** What was observed before the step, as a key: rows with the same key and prompt are compared. */
  readonly anchors: readonly string[];
  readonly rewards: readonly number[];
}

/** Numbers of {@link gigpo}. */
export interface GigpoOptions {
  /** Discount of rewards by step. */
  readonly gamma: number;
  /** w. */
  readonly stepWeight: number;
  readonly scale: GroupOptions["scale"];
  readonly epsilon: number;
  /** What is compared by episode: "trajectory", each one once; "step-row", each as often as it has steps, so long ones weigh more. */
  readonly episodes: "trajectory" | "step-row";
  /** Of groups of one episode. Groups of one step always get 0. */
  readonly singleton: GroupOptions["singleton"];
}

/** As published, but a group of one episode gets 0: it compares with nothing. */
export const GIGPO_DEFAULTS: GigpoOptions = {
  gamma: 0.95,
  stepWeight: 1,
  scale: "std",
  epsilon: 1e-6,
  episodes: "trajectory",
  singleton: "zero",
};

/** Credit of each step and its two parts. [row] */
export interface GigpoAdvantages {
  readonly advantages: readonly number[];
  readonly episodeAdvantages: readonly number[];
  readonly stepAdvantages: readonly number[];
  /** Σ_k r_k of the trajectory. */
  readonly episodeReturns: readonly number[];
  /** R_t. */
  readonly stepReturns: readonly number[];
}

/**
 * Group-in-group policy optimization: episodes are compared with episodes, and steps with steps that began at the same place.
 *
 *   A_t = A_E + w A_S                                                   GiGPO, arXiv:2505.10978
 *   A_E = (R(τ) − μ) / F over the trajectories of the prompt
 *   A_S = (R_t − μ) / F over the rows with the same anchor and prompt, R_t = Σ_{k ≥ t} γ^{k−t} r_k
 *   F = σ + ε, or 1
 *
 * A state that a trajectory comes to twice counts twice.
 */
export function gigpo(rows: AnchoredSteps, options: GigpoOptions = GIGPO_DEFAULTS): GigpoAdvantages {
  const { gamma, stepWeight, scale, epsilon, singleton } = options;
  const group = { ...GROUP_DEFAULTS, scale, epsilon };
  const { prompts, rewards } = rows;
  const stepReturns = alongTrajectories(rows, (inOrder) => {
    let next = 0;
    return inOrder
      .toReversed()
      .map((row) => (next = rewards[row]! + gamma * next))
      .toReversed();
  });
  const episodeReturns = alongTrajectories(rows, (inOrder) => {
    const sum = inOrder.reduce((total, row) => total + rewards[row]!, 0);
    return inOrder.map(() => sum);
  });
  const episodeAdvantages = compareEpisodes(rows, episodeReturns, { ...group, singleton }, options.episodes);
  const places = rows.anchors.map((anchor, row) => JSON.stringify([prompts[row], anchor]));
  const stepAdvantages = groupAdvantages(stepReturns, places, { ...group, singleton: "zero" });
  return {
    advantages: episodeAdvantages.map((advantage, row) => advantage + stepWeight * stepAdvantages[row]!),
    episodeAdvantages,
    stepAdvantages,
    episodeReturns,
    stepReturns,
  };
}

function compareEpisodes(
  rows: AnchoredSteps,
  returns: readonly number[],
  group: GroupOptions,
  episodes: GigpoOptions["episodes"],
): number[] {
  const { prompts } = rows;
  const firstOf = [...rowsByTrajectory(rows)].map(([trajectory, [first]]) => ({ trajectory, first: first! }));
  const perTrajectory = groupAdvantages(
    firstOf.map(({ first }) => returns[first]!),
    firstOf.map(({ first }) => prompts[first]!),
    group,
  );
  if (episodes === "step-row") return groupAdvantages(returns, prompts, group);
  const byName = new Map(firstOf.map(({ trajectory }, i) => [trajectory, perTrajectory[i]!]));
  return rows.trajectories.map((trajectory) => byName.get(trajectory)!);
}
