import type { MaskedSequence } from "../tensor/supervised-loss.js";
import { packInputs } from "./packed-tokens.js";
import type { RowLoss } from "./trainable.js";

/**
 * Cross-entropy of the masked tokens.
 *
 *   L = −(1/D) Σ_i Σ_t m_it log π(a_it | what came before)
 *
 * @param denominator D.
 */
export function supervisedLoss(sequences: readonly MaskedSequence[], denominator: number): RowLoss {
  const tokens = packInputs(sequences.map(({ ids }) => ids));
  const rows: number[] = [];
  const targets: number[] = [];
  const slopes: number[] = [];
  sequences.forEach(({ ids, mask }, index) => {
    for (let t = 1; t < ids.length; t++) {
      if (!mask[t]) continue;
      rows.push(tokens.sequences[index]!.start + t - 1);
      targets.push(ids[t]!);
      slopes.push(-mask[t]! / denominator);
    }
  });
  return {
    tokens,
    selected: { rows: Int32Array.from(rows), targets: Int32Array.from(targets) },
    gradient({ arena, kernels }, { vocab }, { from, count, scores, targets, logSumExp, logProbs }) {
      const given = arena.take(count);
      const view = arena.view(given, count);
      view.set(slopes.slice(from, from + count));
      kernels.targetGradient(scores, targets, logSumExp, given, vocab, count);
      return arena.view(logProbs, count).reduce((sum, logProb, row) => sum + view[row]! * logProb, 0);
    },
  };
}
