import type { Address } from "./kernels.js";
import { type GradientBlock, gradientOf } from "./linear.js";
import type { Machine } from "./machine.js";
import type { Model } from "./model.js";
import type { SelectedRows } from "./packed-tokens.js";

/** Scores over the vocabulary of some of the selected rows, divided by their temperatures. */
export interface ScoreRows {
  /** The first of them among the selected rows. */
  readonly from: number;
  readonly count: number;
  /** [count, vocab] */
  readonly scores: Address;
  /** int32. [count] */
  readonly targets: Address;
  /** [count] */
  readonly logSumExp: Address;
  /** log π of the targets, in nats. [count] */
  readonly logProbs: Address;
}

/** Where gradients go. */
export interface ScoreGradient {
  /** The gradient of the stream: written, 0 where no row is selected. [rows, hidden] */
  readonly dx: Address;
  readonly gradients: GradientBlock;
}

/** Floats of scores that are held at once. */
const HELD = 2 ** 23;

/**
 * Scores of the next token at the selected rows, a part of them at a time: they are never all in memory.
 *
 * @param x the last stream. [rows, hidden] @param rows how many it has.
 * @param use is called for each part; where there is a `gradient` it turns the scores into their gradient.
 * @returns log π of the targets, in nats. [selected]
 */
export function scoreRows(
  machine: Machine,
  model: Model,
  x: Address,
  rows: number,
  selected: SelectedRows,
  use?: (part: ScoreRows) => void,
  gradient?: ScoreGradient,
): Float32Array {
  const { arena, kernels } = machine;
  const { hidden, vocab, head, norm, config } = model;
  const count = selected.rows.length;
  return arena.scope(() => {
    if (gradient !== undefined) arena.view(gradient.dx, rows * hidden).fill(0);
    const places = arena.take(count);
    const targets = arena.take(count);
    const temperatures = arena.take(count);
    arena.integers(places, count).set(selected.rows);
    arena.integers(targets, count).set(selected.targets);
    if (selected.inverseTemperatures !== undefined) arena.view(temperatures, count).set(selected.inverseTemperatures);
    const [logSumExp, logProbs, scale] = [arena.take(count), arena.take(count), arena.take(count)];
    const [picked, normed] = [arena.take(count * hidden), arena.take(count * hidden)];
    const dNormed = gradient === undefined ? 0 : arena.take(count * hidden);
    kernels.gatherRows(x, places, picked, hidden, count);
    kernels.rmsNorm(picked, norm.address!, normed, scale, config.rms_norm_eps, hidden, count);
    const parts = Math.ceil((count * vocab) / HELD);
    const most = Math.ceil(count / parts); // rows of a part, evenly
    const scores = arena.take(most * vocab);
    for (let from = 0; from < count; from += most) {
      const part = Math.min(most, count - from);
      const at = (address: Address) => address + from * 4;
      const rowsAt = (address: Address) => address + from * hidden * 4;
      machine.multiply({
        m: part,
        n: vocab,
        k: hidden,
        a: rowsAt(normed),
        lda: hidden,
        b: head,
        ldb: hidden,
        transposeB: true,
        c: scores,
        ldc: vocab,
      });
      const tempered = selected.inverseTemperatures !== undefined;
      if (tempered) kernels.scaleRows(scores, at(temperatures), vocab, part);
      kernels.targetLogProbs(scores, at(targets), at(logSumExp), at(logProbs), vocab, part);
      use?.({ from, count: part, scores, targets: at(targets), logSumExp: at(logSumExp), logProbs: at(logProbs) });
      if (gradient === undefined) continue;
      if (tempered) kernels.scaleRows(scores, at(temperatures), vocab, part);
      machine.multiply({
        m: part,
        n: hidden,
        k: vocab,
        a: scores,
        lda: vocab,
        b: head,
        ldb: hidden,
        c: rowsAt(dNormed),
        ldc: hidden,
      });
      const dHead = gradientOf(head, gradient.gradients);
      if (dHead === undefined) continue;
      machine.multiply({
        m: vocab,
        n: hidden,
        k: part,
        a: scores,
        lda: vocab,
        transposeA: true,
        b: rowsAt(normed),
        ldb: hidden,
        beta: 1,
        c: dHead,
        ldc: hidden,
      });
    }
    if (gradient !== undefined) {
      const dNorm = gradientOf(norm, gradient.gradients);
      if (dNorm !== undefined) kernels.rmsNormWeightGradient(picked, scale, dNormed, dNorm, hidden, count, hidden);
      kernels.rmsNormBackward(picked, norm.address!, scale, dNormed, dNormed, 0, hidden, count);
      kernels.scatterAdd(gradient.dx, places, dNormed, hidden, count, hidden);
    }
    return arena.view(logProbs, count).slice();
  });
}
