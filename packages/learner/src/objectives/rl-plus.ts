import { type PpoClipOptions, tokenPpoClip } from "./ppo-clip.js";
import { importanceRatio, type ObjectiveBatch, type ObjectiveResult, sumTokenLosses } from "./token-loss.js";

/** Numbers of {@link rlPlus}. */
export interface RlPlusOptions {
  /** γ: how much more a demonstration counts where the policy is unlikely to say it. */
  readonly explorationGamma: number;
  /** U, the probability that stands for the unknown policy of the demonstrations; the released code takes 1. */
  readonly uniformProbability: number;
  /** Clips the policy's own samples; absent: they are not clipped, as in the paper. Demonstrations never are. */
  readonly clip?: PpoClipOptions;
}

/** What each demonstrated token counts; 0 at the policy's own samples. [row][token] */
export interface RlPlusResult extends ObjectiveResult {
  /** r^m. */
  readonly mixtureRatios: readonly (readonly number[])[];
  /** (1 − π_θ)^γ. */
  readonly explorationWeights: readonly (readonly number[])[];
}

/**
 * Demonstrations beside the policy's own samples in one group, by multiple importance sampling.
 *
 *   own:            L_t = −Â_t ρ_t                                              RL-PLUS, arXiv:2508.00222
 *   demonstration:  r^m_t = 2 π_θ / (π_ω + π_old),  π_ω = ½ π_old + ½ U
 *                   L_t = −Â_t r^m_t sg[(1 − π_θ)^γ],  ∂L_t/∂log π_θ = L_t
 *
 * r^m is of probabilities, not of log-ratios: log-probabilities must be those of the policy itself, at temperature 1.
 *
 * @param external which rows are demonstrations. [row]
 * @throws AgentError `tensor/shape`.
 */
export function rlPlus(
  batch: ObjectiveBatch & { readonly external: readonly boolean[] },
  { explorationGamma, uniformProbability, clip }: RlPlusOptions,
): RlPlusResult {
  const { newLogProbs, oldLogProbs, advantages, mask, external } = batch;
  const zeros = () => mask.map((tokens) => tokens.map(() => 0));
  const [mixtureRatios, explorationWeights] = [zeros(), zeros()];
  const result = sumTokenLosses(batch, (row, t) => {
    const [newLogProb, oldLogProb, advantage] = [newLogProbs[row]![t]!, oldLogProbs[row]![t]!, advantages[row]![t]!];
    if (!external[row]) {
      if (clip !== undefined) return tokenPpoClip(newLogProb - oldLogProb, advantage, clip);
      const { ratio, slope } = importanceRatio(newLogProb - oldLogProb);
      return { loss: -advantage * ratio, slope: -advantage * slope };
    }
    const [probability, old] = [Math.exp(newLogProb), Math.exp(oldLogProb)];
    const ratio = (2 * probability) / (1.5 * old + 0.5 * uniformProbability);
    const exploration = Math.max(0, 1 - probability) ** explorationGamma;
    mixtureRatios[row]![t] = ratio;
    explorationWeights[row]![t] = exploration;
    const loss = -advantage * ratio * exploration;
    return { loss, slope: loss };
  });
  return { ...result, mixtureRatios, explorationWeights };
}
