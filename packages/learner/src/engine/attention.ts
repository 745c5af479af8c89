import type { Address } from "./kernels.js";
import type { Machine } from "./machine.js";
import type { Model } from "./model.js";
import type { PackedSequence } from "./packed-tokens.js";

/** Queries of one block of scores: what lies above the diagonal is left out block by block. */
const BLOCK = 128;

/** Queries and outputs [rows, heads · headDim], keys and values [rows, keyValueHeads · headDim], of packed sequences. */
export interface AttentionRows {
  readonly queries: Address;
  readonly keys: Address;
  readonly values: Address;
}

/** Floats that the attention probabilities of sequences take: heads · length² for each. */
export function probabilityFloats({ heads }: Model, sequences: readonly PackedSequence[]): number {
  return sequences.reduce((sum, { length }) => sum + heads * length * length, 0);
}

/**
 * Causal attention of each sequence on itself.
 *
 *   O = P V,  P = softmax(Q Kᵀ / √headDim) over a position and those before it
 *
 * @param kept where the probabilities go, sequence by sequence, [heads, length, length] each; undefined when nobody needs them.
 */
export function attention(
  machine: Machine,
  model: Model,
  sequences: readonly PackedSequence[],
  { queries, keys, values }: AttentionRows,
  out: Address,
  kept: Address | undefined,
): void {
  const { headDim, heads, keyValueHeads } = model;
  const group = heads / keyValueHeads;
  const [strideQ, strideK] = [heads * headDim, keyValueHeads * headDim];
  let place = kept;
  for (const { start, length } of sequences) {
    machine.arena.scope(() => {
      const own = place ?? machine.arena.take(Math.min(BLOCK, length) * length);
      for (let head = 0; head < heads; head++) {
        const q = queries + (start * strideQ + head * headDim) * 4;
        const o = out + (start * strideQ + head * headDim) * 4;
        const shared = (start * strideK + Math.floor(head / group) * headDim) * 4;
        for (let from = 0; from < length; from += BLOCK) {
          const to = Math.min(length, from + BLOCK);
          const scores = place === undefined ? own : own + (head * length + from) * length * 4;
          blockProbabilities(machine, model, scores, length, q, keys + shared, from, to);
          machine.multiply({
            m: to - from,
            n: headDim,
            k: to,
            a: scores,
            lda: length,
            b: values + shared,
            ldb: strideK,
            c: o + from * strideQ * 4,
            ldc: strideQ,
          });
        }
      }
    });
    if (place !== undefined) place += heads * length * length * 4;
  }
}

/** P of queries from … to − 1 of one head. [to − from, stride], `to` columns filled */
function blockProbabilities(
  { multiply, kernels }: Machine,
  { headDim, heads, keyValueHeads }: Model,
  scores: Address,
  stride: number,
  q: Address,
  k: Address,
  from: number,
  to: number,
): void {
  multiply({
    m: to - from,
    n: to,
    k: headDim,
    a: q + from * heads * headDim * 4,
    lda: heads * headDim,
    b: k,
    ldb: keyValueHeads * headDim,
    transposeB: true,
    c: scores,
    ldc: stride,
  });
  kernels.causalSoftmax(scores, stride, to, from, 1 / Math.sqrt(headDim), to - from);
}

/**
 * Gradients of {@link attention}.
 *
 *   dV = Pᵀ dO        dP = dO Vᵀ        dQ = dS K        dK = dSᵀ Q,  dS as in causalSoftmaxBackward
 *
 * @param kept the probabilities; where they were not kept they are computed again.
 * @param slopes written, not added to.
 */
export function attentionBackward(
  machine: Machine,
  model: Model,
  sequences: readonly PackedSequence[],
  { queries, keys, values }: AttentionRows,
  dOut: Address,
  kept: Address | undefined,
  slopes: AttentionRows,
): void {
  const { headDim, heads, keyValueHeads } = model;
  const { arena, multiply, kernels } = machine;
  const group = heads / keyValueHeads;
  const [strideQ, strideK] = [heads * headDim, keyValueHeads * headDim];
  let place = kept;
  for (const { start, length } of sequences) {
    arena.scope(() => {
      const size = Math.min(BLOCK, length) * length;
      const again = place === undefined ? arena.take(size) : 0;
      const dScores = arena.take(size);
      for (const address of [slopes.keys, slopes.values])
        arena.view(address + start * strideK * 4, length * strideK).fill(0);
      for (let head = 0; head < heads; head++) {
        const own = (start * strideQ + head * headDim) * 4;
        const shared = (start * strideK + Math.floor(head / group) * headDim) * 4;
        for (let from = 0; from < length; from += BLOCK) {
          const to = Math.min(length, from + BLOCK);
          const count = to - from;
          const block = own + from * strideQ * 4;
          const p = place === undefined ? again : place + (head * length + from) * length * 4;
          if (place === undefined) {
            blockProbabilities(machine, model, p, length, queries + own, keys + shared, from, to);
          }
          const common = { transposeA: true, m: to, n: headDim, k: count, lda: length, ldb: strideQ, ldc: strideK };
          multiply({ ...common, a: p, b: dOut + block, beta: 1, c: slopes.values + shared });
          multiply({
            m: count,
            n: to,
            k: headDim,
            a: dOut + block,
            lda: strideQ,
            b: values + shared,
            ldb: strideK,
            transposeB: true,
            c: dScores,
            ldc: length,
          });
          kernels.causalSoftmaxBackward(p, dScores, length, to, from, 1 / Math.sqrt(headDim), count);
          multiply({
            m: count,
            n: headDim,
            k: to,
            a: dScores,
            lda: length,
            b: keys + shared,
            ldb: strideK,
            c: slopes.queries + block,
            ldc: strideQ,
          });
          multiply({ ...common, a: dScores, b: queries + block, beta: 1, c: slopes.keys + shared });
        }
      }
    });
    if (place !== undefined) place += heads * length * length * 4;
  }
}
