import type { Call } from "./kernel-threads.js";
import type { Address } from "./kernels.js";
import { leastBusy } from "./least-busy.js";
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

/** One thread's part of attention: its calls, and room for scores that are not kept. */
interface Lane {
  readonly calls: Call[];
  readonly scores: Address;
  readonly slopes: Address;
  /** Multiplications that its calls take. */
  work: number;
}

/** Multiplications from which on attention is worth a second thread. */
const WORTH_SHARING = 2 ** 20;

/** Lanes for the attention of sequences, each with room for one block of the longest. */
function openLanes(machine: Machine, model: Model, sequences: readonly PackedSequence[]): readonly Lane[] {
  const work = probabilityFloats(model, sequences) * model.headDim;
  const count = Math.max(1, Math.min(machine.lanes, Math.floor(work / WORTH_SHARING)));
  const longest = Math.max(0, ...sequences.map(({ length }) => length));
  const room = Math.min(BLOCK, longest) * longest;
  const { arena } = machine;
  return Array.from({ length: count }, () => ({
    calls: [],
    scores: arena.take(room),
    slopes: arena.take(room),
    work: 0,
  }));
}

/** Blocks of queries of a sequence, each with the keys that it sees: those before `to`. */
function blocksOf(length: number): readonly { readonly from: number; readonly to: number }[] {
  return Array.from({ length: Math.ceil(length / BLOCK) }, (_, index) => ({
    from: index * BLOCK,
    to: Math.min(length, (index + 1) * BLOCK),
  }));
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
  rows: AttentionRows,
  out: Address,
  kept: Address | undefined,
): void {
  const { headDim, heads, keyValueHeads } = model;
  const group = heads / keyValueHeads;
  const [strideQ, strideK] = [heads * headDim, keyValueHeads * headDim];
  machine.arena.scope(() => {
    const lanes = openLanes(machine, model, sequences);
    let place = kept;
    for (const { start, length } of sequences) {
      for (let head = 0; head < heads; head++) {
        const lane = leastBusy(lanes, length * length);
        const own = (start * strideQ + head * headDim) * 4;
        const shared = (start * strideK + Math.floor(head / group) * headDim) * 4;
        for (const { from, to } of blocksOf(length)) {
          const p = place === undefined ? lane.scores : place + (head * length + from) * length * 4;
          probabilities(machine, model, lane, p, length, rows.queries + own, rows.keys + shared, from, to);
          lane.calls.push(
            machine.product({
              m: to - from,
              n: headDim,
              k: to,
              a: p,
              lda: length,
              b: rows.values + shared,
              ldb: strideK,
              c: out + own + from * strideQ * 4,
              ldc: strideQ,
            }),
          );
        }
      }
      if (place !== undefined) place += heads * length * length * 4;
    }
    machine.run(lanes.map(({ calls }) => calls));
  });
}

/** P of queries from … to − 1 of one head. [to − from, stride], `to` columns filled */
function probabilities(
  machine: Machine,
  { headDim, heads, keyValueHeads }: Model,
  { calls }: Lane,
  p: Address,
  stride: number,
  q: Address,
  k: Address,
  from: number,
  to: number,
): void {
  calls.push(
    machine.product({
      m: to - from,
      n: to,
      k: headDim,
      a: q + from * heads * headDim * 4,
      lda: heads * headDim,
      b: k,
      ldb: keyValueHeads * headDim,
      transposeB: true,
      c: p,
      ldc: stride,
    }),
    machine.call("causalSoftmax", p, stride, to, from, 1 / Math.sqrt(headDim), 0, to - from),
  );
}

/**
 * Gradients of {@link attention}.
 *
 *   dV = Pᵀ dO        dP = dO Vᵀ        dQ = dS K        dK = dSᵀ Q,  dS as in causalSoftmaxBackward
 *
 * The query heads of one key-value head are one thread's: they add to the same dK and dV.
 *
 * @param kept the probabilities; where they were not kept they are computed again.
 * @param slopes written, not added to.
 */
export function attentionBackward(
  machine: Machine,
  model: Model,
  sequences: readonly PackedSequence[],
  rows: AttentionRows,
  dOut: Address,
  kept: Address | undefined,
  slopes: AttentionRows,
): void {
  const { headDim, heads, keyValueHeads } = model;
  const group = heads / keyValueHeads;
  const [strideQ, strideK] = [heads * headDim, keyValueHeads * headDim];
  machine.arena.scope(() => {
    const lanes = openLanes(machine, model, sequences);
    let place = kept;
    for (const { start, length } of sequences) {
      for (const address of [slopes.keys, slopes.values]) {
        machine.arena.view(address + start * strideK * 4, length * strideK).fill(0);
      }
      for (let keyValueHead = 0; keyValueHead < keyValueHeads; keyValueHead++) {
        const lane = leastBusy(lanes, group * length * length);
        const shared = (start * strideK + keyValueHead * headDim) * 4;
        for (let head = keyValueHead * group; head < (keyValueHead + 1) * group; head++) {
          const own = (start * strideQ + head * headDim) * 4;
          for (const { from, to } of blocksOf(length)) {
            const p = place === undefined ? lane.scores : place + (head * length + from) * length * 4;
            if (place === undefined) {
              probabilities(machine, model, lane, p, length, rows.queries + own, rows.keys + shared, from, to);
            }
            const block = own + from * strideQ * 4;
            const count = to - from;
            const common = { transposeA: true, m: to, n: headDim, k: count, lda: length, ldb: strideQ, ldc: strideK };
            lane.calls.push(
              machine.product({ ...common, a: p, b: dOut + block, beta: 1, c: slopes.values + shared }),
              machine.product({
                m: count,
                n: to,
                k: headDim,
                a: dOut + block,
                lda: strideQ,
                b: rows.values + shared,
                ldb: strideK,
                transposeB: true,
                c: lane.slopes,
                ldc: length,
              }),
              machine.call("causalSoftmaxBackward", p, lane.slopes, length, to, from, 1 / Math.sqrt(headDim), 0, count),
              machine.product({
                m: count,
                n: headDim,
                k: to,
                a: lane.slopes,
                lda: length,
                b: rows.keys + shared,
                ldb: strideK,
                c: slopes.queries + block,
                ldc: strideQ,
              }),
              machine.product({ ...common, a: lane.slopes, b: rows.queries + block, beta: 1, c: slopes.keys + shared }),
            );
          }
        }
      }
      if (place !== undefined) place += heads * length * length * 4;
    }
    machine.run(lanes.map(({ calls }) => calls));
  });
}
