import { GROUP_DEFAULTS, type GroupOptions, groupAdvantages } from "./group-statistics.js";
import { alongTrajectories, type StepRows } from "./step-rows.js";

/** Steps of trajectories that were to find something out. [row] */
export interface InformedSteps extends StepRows {
  readonly prompts: readonly string[];
  /** log π(gold ∣ h) after the step, the gold answer's log-probability given all that was seen until then. */
  readonly goldLogProbs: readonly number[];
  /** log π(gold ∣ h_0), before the first step, of each trajectory. */
  readonly priorLogProbs: Readonly<Record<string, number>>;
  /** The judged end of each trajectory. */
  readonly outcomes: Readonly<Record<string, number>>;
}

/** Numbers of {@link informationGainAdvantages}. */
export interface InformationGainOptions {
  /** Discount by step. */
  readonly gamma: number;
  /** Mean |gain| is brought to max(this, mean |outcome|), so that neither drowns the other. */
  readonly leastScale: number;
  /** Gains are scaled up by no more than this. */
  readonly maxScale: number;
  readonly group: GroupOptions;
}

/** As published with DR-Venus. */
export const INFORMATION_GAIN_DEFAULTS: InformationGainOptions = {
  gamma: 0.95,
  leastScale: 0.3,
  maxScale: 10,
  group: GROUP_DEFAULTS,
};

/**
 * How much each step raised the policy's belief in the right answer.
 *
 *   IG_k = log π(gold ∣ h_k) − log π(gold ∣ h_{k−1})        IGPO, as in DR-Venus, arXiv:2604.19859
 *   Σ_k IG_k = log π(gold ∣ h_T) − log π(gold ∣ h_0)
 *
 * @returns nats. [row]
 */
export function informationGains(rows: Omit<InformedSteps, "prompts" | "outcomes">): number[] {
  return alongTrajectories(rows, (inOrder, trajectory) =>
    inOrder.map((row, k) => {
      const before = k === 0 ? rows.priorLogProbs[trajectory]! : rows.goldLogProbs[inOrder[k - 1]!]!;
      return rows.goldLogProbs[row]! - before;
    }),
  );
}

/**
 * Credit by information gain and by the end.
 *
 *   g = normalise IG over the prompt's steps,  o = normalise the outcomes over the prompt's trajectories
 *   r_k = c g_k, and + o at the last step;  c = min(c_max, max(s, mean|o|) / mean|g|)
 *   Â_k = Σ_{j ≥ k} γ^{j−k} r_j                          DR-Venus, arXiv:2604.19859
 *
 * Steps differ even where all outcomes are equal, and outcomes alone would teach nothing.
 *
 * @returns Â_k. [row]
 */
export function informationGainAdvantages(
  rows: InformedSteps,
  options: InformationGainOptions = INFORMATION_GAIN_DEFAULTS,
): number[] {
  const { gamma, leastScale, maxScale, group } = options;
  const gains = groupAdvantages(informationGains(rows), rows.prompts, group);
  const promptOf = new Map(rows.trajectories.map((trajectory, row) => [trajectory, rows.prompts[row]!]));
  const names = [...promptOf.keys()];
  const compared = groupAdvantages(
    names.map((name) => rows.outcomes[name]!),
    [...promptOf.values()],
    group,
  );
  const outcomes = new Map(names.map((name, i) => [name, compared[i]!]));
  const meanGain = meanMagnitude(gains);
  const scale = meanGain === 0 ? 0 : Math.min(maxScale, Math.max(leastScale, meanMagnitude(compared)) / meanGain);
  return alongTrajectories(rows, (inOrder, trajectory) => {
    let next = 0;
    return inOrder
      .toReversed()
      .map((row, back) => (next = scale * gains[row]! + (back === 0 ? outcomes.get(trajectory)! : 0) + gamma * next))
      .toReversed();
  });
}

function meanMagnitude(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + Math.abs(number), 0) / Math.max(1, numbers.length);
}
