import { AgentError } from "@afterstate/core";
import { creditTrajectories } from "../credit/credit-trajectories.js";
import type { CreditOptions } from "../credit/credited-trajectory.js";
import { type CreditState, EMPTY_CREDIT } from "../credit/step-credit.js";
import { TRUNCATED_BY_TOKEN } from "../objectives/off-policy.js";
import type { PolicyTrainer, PolicyWeights, TrainingSample, UpdateOptions } from "../types.js";
import type { TrajectoryGroup } from "./collect-rollouts.js";
import { preferencePairs } from "./preference-pairs.js";

/** What training on rollouts goes on from: plain data. */
export interface RolloutTraining {
  readonly weights: PolicyWeights;
  /** Absent before the first update. */
  readonly optimizer?: PolicyWeights;
  readonly credit: CreditState;
}

/** How rollouts train. */
export interface RolloutTrainingOptions {
  readonly credit: CreditOptions;
  readonly update: UpdateOptions;
  /** The frozen policy of the KL term, and of DPO and IPO. */
  readonly reference: PolicyWeights;
  /** The version whose weights are trained: samples of others are corrected for it. Absent: all are taken for its own. */
  readonly version?: string;
  /** How many versions behind it a sample is. Absent: none is too old. */
  readonly staleness?: (policyVersion: string) => number;
  /** Samples further behind are dropped and counted. Default 4. */
  readonly maxStaleness?: number;
}

/** What one update on rollouts made. */
export interface TrainedOnRollouts {
  readonly training: RolloutTraining;
  readonly metrics: Readonly<Record<string, number>>;
  readonly samples: number;
  /** Samples that were too old. */
  readonly dropped: number;
}

/** Training that starts from weights. */
export function startTraining(weights: PolicyWeights): RolloutTraining {
  return { weights, credit: EMPTY_CREDIT };
}

/**
 * One update on groups of rollouts: credit, samples, the trainer.
 *
 * What other versions sampled is weighed by truncated importance sampling, unless the objective has a correction of its own. With DPO or IPO the best and the worst of each group are a pair,
 * and credit is not asked.
 *
 * @throws AgentError `rollout/nothing-to-learn` when no sample is left; those of the trainer.
 */
export async function trainOnRollouts(
  trainer: PolicyTrainer,
  groups: readonly TrajectoryGroup[],
  training: RolloutTraining,
  options: RolloutTrainingOptions,
): Promise<TrainedOnRollouts> {
  const { reference, version, staleness = () => 0, maxStaleness = 4 } = options;
  const prefers = options.update.objective?.loss.name === "dpo" || options.update.objective?.loss.name === "ipo";
  const { samples: all, credit } = prefers
    ? { samples: preferencePairs(groups), credit: training.credit }
    : creditedSamples(groups, training.credit, options.credit);
  const samples = all.filter(
    ({ policyVersion, demonstration }) => demonstration || staleness(policyVersion) <= maxStaleness,
  );
  const { objective } = options.update;
  const update =
    version === undefined || objective === undefined
      ? options.update
      : { ...options.update, objective: { correction: TRUNCATED_BY_TOKEN, ...objective } };
  const worth = samples.filter((sample) => contributes(sample, update));
  if (worth.length === 0)
    throw new AgentError(
      "rollout/nothing-to-learn",
      `none of ${all.length} samples says anything: all have credit 0 or are too old; collect other rollouts`,
    );
  const { weights, optimizer } = training;
  const result = await trainer.update({
    weights,
    ...(optimizer && { optimizer }),
    reference,
    ...(version !== undefined && { version }),
    samples: worth,
    options: update,
  });
  return {
    training: { weights: result.weights, optimizer: result.optimizer, credit },
    metrics: result.metrics,
    samples: worth.length,
    dropped: all.length - samples.length,
  };
}

function creditedSamples(
  groups: readonly TrajectoryGroup[],
  state: CreditState,
  options: CreditOptions,
): { readonly samples: readonly TrainingSample[]; readonly credit: CreditState } {
  const trajectories = groups.flatMap(({ trajectories }) => trajectories);
  const { credits, state: credit } = creditTrajectories(trajectories, state, options);
  const samples = trajectories.flatMap(({ steps, demonstration }, i) =>
    steps.map(({ of, policyVersion, tokens }, k): TrainingSample => {
      const { advantages, mask } = credits[i]![k]!;
      return {
        of,
        policyVersion,
        tokens: { ...tokens, mask },
        advantages,
        ...(demonstration === true && { demonstration }),
      };
    }),
  );
  return { samples, credit };
}

/** Whether leaving a sample out would change anything: its tokens count in denominators that the batch gives, and in the KL term. */
function contributes(
  { advantages, tokens, pair }: TrainingSample,
  { objective, klCoefficient }: UpdateOptions,
): boolean {
  if (!tokens.mask.some((trained) => trained === 1)) return false;
  if (pair !== undefined || klCoefficient !== 0) return true;
  if (objective !== undefined && objective.aggregation !== "constant") return true;
  return advantages.some((advantage) => advantage !== 0);
}
