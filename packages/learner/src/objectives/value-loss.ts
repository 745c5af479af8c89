import { weightedSum } from "./aggregate.js";
import { assertSameShape, type LossAndGradient, mapMasked, type Ragged } from "./ragged.js";

/**
 * The loss of a critic whose values may not leap.
 *
 *   L = ½ Σ w max((V − R)², (clip(V, V_old − ε, V_old + ε) − R)²)        PPO as in OpenAI baselines (arXiv:2005.12729, §3)
 *   ∂L/∂V = w (V − R) where the first term is the greater or V is inside the clip, else 0
 *
 * Values of tokens are [row][token]; values of steps are one row of steps, all with mask 1.
 *
 * @returns with the gradient by the new values, and the share of values on which the clip acts.
 * @throws AgentError `tensor/shape`.
 */
export function valueLoss(
  batch: {
    readonly values: Ragged;
    readonly oldValues: Ragged;
    readonly returns: Ragged;
    readonly mask: Ragged;
    readonly weights: Ragged;
  },
  { valueClip }: { readonly valueClip: number },
): LossAndGradient & { readonly clipFraction: number } {
  const { values, oldValues, returns, mask, weights } = batch;
  assertSameShape(mask, { ...batch });
  const gradient = mapMasked(mask, () => 0);
  let [counted, clips] = [0, 0];
  const losses = mapMasked(mask, (row, t) => {
    const [value, old] = [values[row]![t]!, oldValues[row]![t]!];
    const clipped = Math.min(old + valueClip, Math.max(old - valueClip, value));
    const [free, held] = [value - returns[row]![t]!, clipped - returns[row]![t]!];
    counted++;
    if (free ** 2 >= held ** 2) gradient[row]![t] = weights[row]![t]! * free;
    else clips++;
    return Math.max(free ** 2, held ** 2) / 2;
  });
  return { loss: weightedSum(weights, losses), gradient, clipFraction: counted === 0 ? 0 : clips / counted };
}
