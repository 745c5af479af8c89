import { assertSameShape, type Ragged } from "./ragged.js";
import { type ObjectiveBatch, type ObjectiveResult, sumTokenLosses } from "./token-loss.js";

/** Which estimator of KL(π_θ ‖ π_ref) from samples of π_θ. */
export type KlEstimator = "k1" | "k2" | "k3" | "abs" | "k3-clamped" | "k1+" | "k3+";

/** Where the clamped estimator ends: |d|, and its value. */
const [MAX_D, MAX_K3] = [20, 10];

/**
 * One token's estimate of KL(π_θ ‖ π_ref) and its derivative by log π_θ, d = log π_θ − log π_ref.
 *
 *   k1  = d                   derivative 1            (as a loss its expected gradient is 0: for rewards only)
 *   k2  = d²/2                derivative d            (the unbiased gradient of the reverse KL)
 *   k3  = e^(−d) + d − 1      derivative 1 − e^(−d)   (that of the forward KL) http://joschu.net/blog/kl-approx.html
 *   abs = |d|                 derivative sign(d)
 *   k3-clamped: k3 of d within ±20, at most 10, and no gradient beyond: far tokens are no longer pulled back
 *   k1+, k3+: the value of k1 or k3-clamped, for people, with the gradient of k2, for the policy
 */
export function klEstimate(estimator: KlEstimator, d: number): { readonly value: number; readonly slope: number } {
  switch (estimator) {
    case "k1":
      return { value: d, slope: 1 };
    case "k2":
      return { value: (d * d) / 2, slope: d };
    case "k3":
      return { value: Math.exp(-d) + d - 1, slope: 1 - Math.exp(-d) };
    case "abs":
      return { value: Math.abs(d), slope: Math.sign(d) };
    case "k3-clamped": {
      const { value, slope } = klEstimate("k3", Math.min(MAX_D, Math.max(-MAX_D, d)));
      return value > MAX_K3 || Math.abs(d) > MAX_D ? { value: Math.min(MAX_K3, value), slope: 0 } : { value, slope };
    }
    case "k1+":
      return { value: d, slope: d };
    case "k3+":
      return { value: klEstimate("k3-clamped", d).value, slope: d };
  }
}

/** Σ w KL_t of a batch and its gradient by the new log-probabilities; importance weights do not belong to it. @throws AgentError `tensor/shape`. */
export function klLoss(
  estimator: KlEstimator,
  batch: Pick<ObjectiveBatch, "newLogProbs" | "mask" | "weights"> & { readonly referenceLogProbs: Ragged },
): ObjectiveResult {
  const { newLogProbs, referenceLogProbs, mask, weights } = batch;
  assertSameShape(mask, { newLogProbs, referenceLogProbs });
  return sumTokenLosses({ mask, weights }, (row, t) => {
    const { value, slope } = klEstimate(estimator, newLogProbs[row]![t]! - referenceLogProbs[row]![t]!);
    return { loss: value, slope };
  });
}
