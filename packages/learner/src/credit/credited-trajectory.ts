import type { GroupOptions } from "./group-statistics.js";
import type { HiperRole } from "./hiper.js";
import { spreadOverTokens } from "./spread.js";
import type { CreditedStep, CreditState } from "./step-credit.js";

/** A step with all that any credit may go by. Arrays run over its tokens. [tokens] */
export interface TrajectoryStep extends CreditedStep {
  /** 1 where the policy sampled the token. */
  readonly mask: readonly number[];
  /** What was observed before it, as a key: steps of the same task and anchor are compared. */
  readonly anchor: string;
  /** Whether it began a new subgoal. Absent: where its action is a plan. */
  readonly switched?: boolean;
  /** The subgoal that it named. Absent: none. */
  readonly subgoal?: string;
  /** What its tokens say. Absent: a plan is a subgoal, anything else an action. */
  readonly roles?: readonly HiperRole[];
  /** 1 in a sentence that is true, −1 in one that is false, 0 elsewhere. */
  readonly factuality?: readonly number[];
  /** log π(gold ∣ h) after the step, in nats. */
  readonly goldLogProb?: number;
}

/** What a trajectory left out. In tokens. */
export interface Omitted {
  readonly thoughtTokens: number;
  readonly observationTokens: number;
  /** Of the trajectory as it would have been. */
  readonly totalTokens: number;
}

/** Steps that belong together, in order. */
export interface CreditedTrajectory {
  readonly id: string;
  /** Trajectories of the same task are a group. */
  readonly task: string;
  readonly steps: readonly TrajectoryStep[];
  /** Whether it ended by itself. */
  readonly terminated: boolean;
  readonly omitted?: Omitted;
  /** The trajectory of which it is a part that was sampled again, for credit by omission. */
  readonly partOf?: string;
  /** log π(gold ∣ h) before the first step, in nats. */
  readonly priorLogProb?: number;
}

/**
 * Whose credit a step gets:
 *
 *   broadcast         the outcome less a running baseline                        one trajectory is enough
 *   token             GAE over the tokens of all steps                           one trajectory is enough
 *   step              GAE over steps (StepPO)                                    one trajectory is enough
 *   hierarchical      subgoals, actions and switches by themselves (HiPER)       one trajectory is enough
 *   group             the outcome against those of the same task (GRPO)
 *   leave-one-out     the outcome against the mean of the others (RLOO)
 *   anchor            group, and steps against steps from the same place (GiGPO)
 *   factuality        group, turned by what is true (FSPO)
 *   omission          group, with a reward for what was left out (Agent-Omit)
 *   information-gain  group, and what a step told about the answer (DR-Venus)
 *   rewarded          1 where the outcome reaches a threshold, the others left out (FireAct)
 *
 * A trajectory that is alone in its group gets its outcome less a running baseline, as a broadcast would.
 */
export type CreditName =
  | "broadcast"
  | "token"
  | "step"
  | "hierarchical"
  | "group"
  | "leave-one-out"
  | "anchor"
  | "factuality"
  | "omission"
  | "information-gain"
  | "rewarded";

/** How credit is given, as plain data. What a credit does not know it does not read. */
export interface CreditOptions {
  /** One credit, or the weighted sum of several. */
  readonly credit: CreditName | readonly { readonly credit: CreditName; readonly weight: number }[];
  /** γ, by step: token, step, hierarchical, anchor, information-gain. */
  readonly gamma: number;
  /** λ: token, step, hierarchical within a segment. */
  readonly lambda: number;
  /** β of the running means. */
  readonly decay: number;
  /** Whether advantages of step and token have mean 0 and variance 1 over the batch. Default false. */
  readonly whiten?: boolean;
  /** How a group compares. Default `GROUP_DEFAULTS`; Dr. GRPO: `scale` "none". */
  readonly group?: Omit<GroupOptions, "singleton">;
  /** w of anchor. Default 1. */
  readonly stepWeight?: number;
  /** λ between segments. Default that of `HIPER_DEFAULTS`. */
  readonly segmentLambda?: number;
  /** p_keep and p_consistency of hierarchical, see `hiperRewards`. Default 0. */
  readonly keepPenalty?: number;
  readonly consistencyPenalty?: number;
  /** μ of omission. Default 0.2. */
  readonly mu?: number;
  /** Of rewarded. Default 1. */
  readonly threshold?: number;
}

/** Credit of one step. [tokens] */
export interface TokenCredit {
  /** Â_t, 0 where the mask is 0. */
  readonly advantages: readonly number[];
  /** 1 at what is trained: sampled, and not left out by the credit. */
  readonly mask: readonly number[];
}

/** Credit of [trajectory][step], and the running values after it. */
export interface PartialCredit {
  readonly credits: readonly (readonly TokenCredit[])[];
  readonly values: CreditState["values"];
}

/** Each step's credit on all its sampled tokens. @param advantages [trajectory][step] */
export function spreadOverSteps(
  trajectories: readonly CreditedTrajectory[],
  advantages: readonly (readonly number[])[],
): TokenCredit[][] {
  return trajectories.map(({ steps }, i) =>
    steps.map(({ mask }, k) => ({ advantages: spreadOverTokens(advantages[i]![k]!, mask), mask })),
  );
}
