import { AgentError } from "@afterstate/core";
import { type AggregationMode, aggregationWeights, batchDenominator } from "./aggregate.js";
import { cispo } from "./cispo.js";
import { type OffPolicyCorrection, offPolicyWeights } from "./off-policy.js";
import { type PairedRow, type PreferenceLossName, pairedRows } from "./paired-rows.js";
import { type ClipRange, type PpoClipOptions, ppoClip } from "./ppo-clip.js";
import type { LossAndGradient, Ragged } from "./ragged.js";
import { importanceSampling, reinforce } from "./reinforce.js";
import { type RlPlusOptions, rlPlus } from "./rl-plus.js";
import { type SapoOptions, sapo } from "./sapo.js";
import { gspoToken } from "./sequence-clip.js";
import type { ObjectiveBatch } from "./token-loss.js";

/** Which loss of sampled tokens, as plain data: it travels to a trainer's thread. */
export type PolicyLossName =
  | { readonly name: "reinforce" }
  | { readonly name: "importance-sampling" }
  | ({ readonly name: "ppo" } & PpoClipOptions)
  | ({ readonly name: "gspo" } & ClipRange)
  | ({ readonly name: "sapo" } & SapoOptions)
  | ({ readonly name: "cispo" } & ClipRange)
  | ({ readonly name: "rl-plus" } & RlPlusOptions)
  | PreferenceLossName;

/** What an update minimises on its rewards. */
export interface Objective {
  readonly loss: PolicyLossName;
  /** "constant" divides by the update's `lossDenominator`, the others by what the whole update holds; of pairs all others are the mean. */
  readonly aggregation: AggregationMode;
  /** Corrects for samples of an older policy; absent: their age does not count. */
  readonly correction?: OffPolicyCorrection;
}

/** All that an objective may look at. [row][token] */
export type SampledTokens = Omit<ObjectiveBatch, "weights" | "importanceWeights"> & {
  /** log π of the policy that sampled. */
  readonly behaviourLogProbs: Ragged;
  /** log π of the frozen reference. Needed by DPO and IPO alone. */
  readonly referenceLogProbs?: Ragged;
  /** Rows that someone else than the policy said. Absent: none. [row] */
  readonly demonstrations?: readonly boolean[];
  /** What DPO and IPO compare. [row] */
  readonly pairs?: readonly (PairedRow | undefined)[];
};

/**
 * Any objective through one door: log-probabilities in, a loss and a weight for each token's backward pass out. Backends know no more of
 * an algorithm than this, so that each exists once.
 *
 * @param denominator for the aggregation "constant".
 * @throws AgentError `tensor/shape`, `objective/bad-option`.
 */
export function evaluateObjective(
  { loss, aggregation, correction }: Objective,
  tokens: SampledTokens,
  denominator: number,
): LossAndGradient {
  const { mask, newLogProbs, demonstrations, pairs, referenceLogProbs } = tokens;
  const constant = aggregation === "constant" ? denominator : undefined;
  if (loss.name === "dpo" || loss.name === "ipo") {
    if (pairs === undefined || referenceLogProbs === undefined)
      throw new AgentError("objective/bad-option", `${loss.name} needs pairs and a reference`);
    return pairedRows({ newLogProbs, referenceLogProbs, mask, pairs }, loss, constant);
  }
  const external = mask.map((_, row) => demonstrations?.[row] === true);
  const batch: ObjectiveBatch = {
    ...tokens,
    weights: aggregationWeights(
      aggregation,
      mask,
      aggregation === "constant" ? denominator : batchDenominator(aggregation, mask),
    ),
    ...(correction !== undefined && { importanceWeights: ownWeights(tokens, correction, external) }),
  };
  switch (loss.name) {
    case "reinforce":
      return reinforce(batch);
    case "importance-sampling":
      return importanceSampling(batch);
    case "ppo":
      return ppoClip(batch, loss);
    case "gspo":
      return gspoToken(batch, loss);
    case "sapo":
      return sapo(batch, loss);
    case "cispo":
      return cispo(batch, loss);
    case "rl-plus":
      return rlPlus({ ...batch, external }, loss);
  }
}

/** Off-policy weights of what the policy itself sampled; how likely the author of a demonstration was to say it nobody knows. */
function ownWeights(tokens: SampledTokens, correction: OffPolicyCorrection, external: readonly boolean[]): Ragged {
  const mask = tokens.mask.map((tokens, row) => (external[row] ? tokens.map(() => 0) : tokens));
  const weights = offPolicyWeights({ ...tokens, mask }, correction);
  return weights.map((own, row) => (external[row] ? tokens.mask[row]! : own));
}
