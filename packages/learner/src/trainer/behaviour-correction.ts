import { type OffPolicyCorrection, offPolicyWeights } from "../objectives/off-policy.js";
import type { TrainingSample } from "../types.js";
import { microBatches } from "./micro-batches.js";
import type { PolicyUpdate, PreparedBatch } from "./policy-update.js";

/** The samples of an update as it trains on them, and what was corrected. */
export interface CorrectedSamples {
  readonly samples: readonly TrainingSample[];
  /** Sampled tokens of other versions, and the mean of their weights: 0 and 1 where all are of the policy under training. */
  readonly numbers: { readonly staleTokens: number; readonly staleWeight: number };
}

/**
 * Weighs the samples of other versions than the one under training by w = π_old / π_behaviour.
 *
 *   Â_t ← w_t Â_t        PPO-clip is positively homogeneous in Â: w · L(Â) = L(w Â) for w ≥ 0
 *
 * Samples of the version itself are handed on untouched: theirs is w = 1, and rounding between two engines is no news. Distillation
 * is over the vocabulary at the states that were visited, and has no ratio.
 *
 * @param version whose weights `update` holds; undefined corrects nothing.
 */
export async function correctStale(
  update: PolicyUpdate,
  samples: readonly TrainingSample[],
  version: string | undefined,
  correction: OffPolicyCorrection,
  maxTokens: number,
): Promise<CorrectedSamples> {
  const stale = version === undefined ? [] : samples.filter((sample) => sample.policyVersion !== version);
  const corrected = new Map<TrainingSample, TrainingSample>();
  let [staleTokens, sum] = [0, 0];
  for (const { samples: part } of microBatches(stale, maxTokens)) {
    const rows = part.map(({ tokens, advantages }) => ({ ...tokens, advantages }));
    const batch = await update.prepare(rows, { teach: false });
    const scored = await scoredTokens(part, batch);
    batch.dispose();
    const weights = offPolicyWeights(
      {
        oldLogProbs: scored,
        behaviourLogProbs: part.map(({ tokens }) => tokens.logProbs),
        mask: part.map(({ tokens }) => tokens.mask),
      },
      correction,
    );
    for (const [row, sample] of part.entries()) {
      const advantages = sample.advantages.map((advantage, t) => advantage * weights[row]![t]!);
      corrected.set(sample, { ...sample, advantages });
      for (const [t, counts] of sample.tokens.mask.entries())
        if (counts === 1) {
          staleTokens += 1;
          sum += weights[row]![t]!;
        }
    }
  }
  return {
    samples: samples.map((sample) => corrected.get(sample) ?? sample),
    numbers: { staleTokens, staleWeight: staleTokens === 0 ? 1 : sum / staleTokens },
  };
}

/** log π of every sampled token as the policy is now; 0 where the mask is 0. [row][token] */
async function scoredTokens(samples: readonly TrainingSample[], batch: PreparedBatch): Promise<number[][]> {
  const { logProbs } = await batch.statistics();
  const positions = [...batch.counted.keys()].filter((at) => batch.counted[at] !== 0).values();
  return samples.map(({ tokens }) =>
    tokens.mask.map((counts) => (counts === 1 ? logProbs[positions.next().value!]! : 0)),
  );
}
