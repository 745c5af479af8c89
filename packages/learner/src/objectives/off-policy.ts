import { AgentError } from "@afterstate/core";
import { assertSameShape, mapMasked, type Ragged, sampledCounts } from "./ragged.js";
import { sequenceLogRatios } from "./sequence-ratio.js";
import { importanceRatio } from "./token-loss.js";

/** Samples of a behaviour policy that the trained one has left behind. */
export interface BehaviourBatch {
  /** log π at the start of the update, scored by the trainer: old, also called proximal. Never the new one where ρ is already in the loss. */
  readonly oldLogProbs: Ragged;
  /** log π of the policy that sampled. */
  readonly behaviourLogProbs: Ragged;
  readonly mask: Ragged;
}

/** Whose ratio is bounded: each token's, the product of a row, or its geometric mean. */
export type RatioLevel = "token" | "sequence" | "geometric-mean";

/** Bounds of w = π_old / π_behaviour. An absent bound does not bind. */
export interface RatioBounds {
  readonly level: RatioLevel;
  readonly lower?: number;
  readonly upper?: number;
}

/** How weights are bounded. */
export interface OffPolicyCorrection extends RatioBounds {
  readonly outside: "clamp" | "drop";
  readonly normalise?: boolean;
}

/** Truncated importance sampling by token: the least variance, at the price of a bias. */
export const TRUNCATED_BY_TOKEN: OffPolicyCorrection = { level: "token", upper: 2, outside: "clamp" };

/**
 * Weights that correct for samples of an older policy: constants, which multiply the loss of each token.
 *
 *   w = π_old / π_behaviour,  of a token, Π_t of a row, or (Π_t)^(1/n) of a row for all its tokens
 *   clamp:  w ← min(max(w, lower), upper)              truncated importance sampling
 *   drop:   w ← 0 where w is out of bounds             icepop; decoupled PPO's staleness cap, arXiv:2505.24298
 *   normalise: w ← w / mean(w), over the sampled tokens, or over rows where w is of a row
 *
 * A dropped token still counts in the loss's denominator. Weights below 1 are kept unless `lower` says otherwise. They belong to the
 * policy's loss alone, not to its KL term.
 *
 * @returns 0 where the mask is 0. [row][token]
 * @throws AgentError `tensor/shape`, `objective/bad-option`.
 */
export function offPolicyWeights(batch: BehaviourBatch, options: OffPolicyCorrection = TRUNCATED_BY_TOKEN): number[][] {
  const { lower, upper } = checkedBounds(options);
  const bounded = (ratio: number) => {
    const held = Math.min(upper, Math.max(lower, ratio));
    return options.outside === "drop" && held !== ratio ? 0 : held;
  };
  const weights = ratiosOf(batch, options.level).map((tokens) => tokens.map((w) => w && bounded(w)));
  if (options.normalise !== true) return weights;
  const counts = sampledCounts(batch.mask);
  const share = (row: number) => (options.level === "token" ? 1 : 1 / counts[row]!);
  let [sum, total] = [0, 0];
  for (const [row, tokens] of batch.mask.entries())
    for (const [t, sampled] of tokens.entries())
      if (sampled) {
        sum += weights[row]![t]! * share(row);
        total += share(row);
      }
  return sum === 0 ? weights : weights.map((tokens) => tokens.map((weight) => weight / (sum / total)));
}

/**
 * Which samples are near enough to be learned from at all.
 *
 *   keep = 1 where lower ≤ w ≤ upper, w = π_old / π_behaviour by the given level
 *
 * @returns 1 or 0; 0 where the mask is 0. [row][token]
 * @throws AgentError `tensor/shape`, `objective/bad-option`.
 */
export function rejectionMask(batch: BehaviourBatch, bounds: RatioBounds): number[][] {
  const { lower, upper } = checkedBounds(bounds);
  const ratios = ratiosOf(batch, bounds.level);
  return mapMasked(batch.mask, (row, t) => (ratios[row]![t]! >= lower && ratios[row]![t]! <= upper ? 1 : 0));
}

/** w of every sampled token; 0 elsewhere. [row][token] */
function ratiosOf({ oldLogProbs, behaviourLogProbs, mask }: BehaviourBatch, level: RatioLevel): number[][] {
  assertSameShape(mask, { oldLogProbs, behaviourLogProbs });
  if (level === "token")
    return mapMasked(mask, (row, t) => importanceRatio(oldLogProbs[row]![t]! - behaviourLogProbs[row]![t]!).ratio);
  const rows = sequenceLogRatios(oldLogProbs, behaviourLogProbs, mask);
  return mapMasked(mask, (row) => importanceRatio(level === "sequence" ? rows[row]!.sum : rows[row]!.mean).ratio);
}

function checkedBounds({ lower = 0, upper = Number.POSITIVE_INFINITY }: RatioBounds) {
  if (!(lower >= 0 && upper > lower))
    throw new AgentError("objective/bad-option", `bounds of a ratio are 0 ≤ lower < upper, not ${lower} and ${upper}`);
  return { lower, upper };
}
