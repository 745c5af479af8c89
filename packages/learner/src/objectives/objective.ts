import { type AggregationMode, aggregationWeights, batchDenominator } from "./aggregate.js";
import { cispo } from "./cispo.js";
import { type OffPolicyCorrection, offPolicyWeights } from "./off-policy.js";
import { type ClipRange, type PpoClipOptions, ppoClip } from "./ppo-clip.js";
import type { LossAndGradient, Ragged } from "./ragged.js";
import { importanceSampling, reinforce } from "./reinforce.js";
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
  | ({ readonly name: "cispo" } & ClipRange);

/** What an update minimises on its rewards. */
export interface Objective {
  readonly loss: PolicyLossName;
  /** "constant" divides by the update's `lossDenominator`, the others by what the whole update holds. */
  readonly aggregation: AggregationMode;
  /** Corrects for samples of an older policy; absent: their age does not count. */
  readonly correction?: OffPolicyCorrection;
}

/** All that an objective may look at. [row][token] */
export type SampledTokens = Omit<ObjectiveBatch, "weights" | "importanceWeights"> & {
  /** log π of the policy that sampled. */
  readonly behaviourLogProbs: Ragged;
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
  const { mask } = tokens;
  const divisor = aggregation === "constant" ? denominator : batchDenominator(aggregation, mask);
  const batch: ObjectiveBatch = {
    ...tokens,
    weights: aggregationWeights(aggregation, mask, divisor),
    ...(correction !== undefined && { importanceWeights: offPolicyWeights(tokens, correction) }),
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
  }
}
