import { weightedSum } from "./aggregate.js";
import { assertSameShape, type LossAndGradient, mapMasked, type Ragged } from "./ragged.js";

/** Which estimator of KL(π_θ ‖ π_ref) from samples of π_θ. */
export type KlEstimator = "k1" | "k2" | "k3";

/**
 * One token's estimate of KL(π_θ ‖ π_ref) and its derivative by log π_θ, d = log π_θ − log π_ref.
 *
 *   k1 = d                    derivative 1            (as a loss its expected gradient is 0: for rewards only)
 *   k2 = d²/2                 derivative d            (the unbiased gradient of the reverse KL)
 *   k3 = e^(−d) + d − 1       derivative 1 − e^(−d)   http://joschu.net/blog/kl-approx.html
 *
 * Differs from verl: nothing is clamped, so that the gradient pulls back from any distance.
 */
export function klEstimate(estimator: KlEstimator, d: number): { readonly value: number; readonly slope: number } {
  switch (estimator) {
    case "k1":
      return { value: d, slope: 1 };
    case "k2":
      return { value: (d * d) / 2, slope: d };
    case "k3":
      return { value: Math.exp(-d) + d - 1, slope: 1 - Math.exp(-d) };
  }
}

/** Σ w KL_t of a batch and its gradient by the new log-probabilities. @throws AgentError `tensor/shape`. */
export function klLoss(
  estimator: KlEstimator,
  batch: {
    readonly newLogProbs: Ragged;
    readonly referenceLogProbs: Ragged;
    readonly mask: Ragged;
    readonly weights: Ragged;
  },
): LossAndGradient {
  const { newLogProbs, referenceLogProbs, mask, weights } = batch;
  assertSameShape(mask, batch);
  const estimate = (row: number, t: number) =>
    klEstimate(estimator, newLogProbs[row]![t]! - referenceLogProbs[row]![t]!);
  return {
    loss: weightedSum(
      weights,
      mapMasked(mask, (row, t) => estimate(row, t).value),
    ),
    gradient: mapMasked(mask, (row, t) => weights[row]![t]! * estimate(row, t).slope),
  };
}
