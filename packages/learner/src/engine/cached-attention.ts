import type { Call } from "./kernel-threads.js";
import type { Address } from "./kernels.js";
import { leastBusy } from "./least-busy.js";
import type { Machine } from "./machine.js";
import type { Model } from "./model.js";

/** New tokens of one slot, whose keys and values are already in its cache. */
export interface CachedRows {
  /** [count, heads · headDim] */
  readonly queries: Address;
  /** Like the queries. */
  readonly out: Address;
  /** [keyValueHeads, capacity, headDim] */
  readonly keys: Address;
  readonly values: Address;
  readonly capacity: number;
  /** Tokens before the new ones. */
  readonly before: number;
  /** New tokens. */
  readonly count: number;
}

/** Queries whose scores are held at once. */
const QUERIES = 128;
/** Floats of keys and values from which on a second thread is worth it. */
const WORTH_SHARING = 2 ** 15;

/** Attention of new tokens on all that their slots hold: many slots with one new token whole, others head by head, on all threads. */
export function attendOnCaches(machine: Machine, model: Model, slots: readonly CachedRows[]): void {
  const { heads, keyValueHeads, headDim } = model;
  const seen = ({ before, count }: CachedRows) => before + count;
  const held = slots.reduce((sum, slot) => sum + seen(slot) * slot.count * keyValueHeads * headDim * 2, 0);
  const room = Math.max(
    ...slots.map((slot) => (slot.count === 1 ? heads : Math.min(QUERIES, slot.count)) * seen(slot)),
  );
  machine.arena.scope(() => {
    const count = Math.max(1, Math.min(machine.lanes, Math.floor(held / WORTH_SHARING)));
    const lanes = Array.from({ length: count }, () => ({
      calls: [] as Call[],
      scores: machine.arena.take(room),
      work: 0,
    }));
    for (const slot of slots) {
      if (slot.count === 1) {
        const parts = slots.length < count ? keyValueHeads : 1;
        for (let part = 0; part < parts; part++) {
          const lane = leastBusy(lanes, seen(slot));
          const size = keyValueHeads / parts;
          lane.calls.push(attendOne(machine, model, slot, lane.scores, part * size, (part + 1) * size));
        }
        continue;
      }
      for (let head = 0; head < heads; head++) {
        const lane = leastBusy(lanes, slot.count * seen(slot));
        lane.calls.push(...attendMany(machine, model, slot, head, lane.scores));
      }
    }
    machine.run(lanes.map(({ calls }) => calls));
  });
}

/** Key-value heads from … to − 1 of one new token. */
function attendOne(
  machine: Machine,
  { heads, keyValueHeads, headDim }: Model,
  slot: CachedRows,
  scores: Address,
  from: number,
  to: number,
): Call {
  const { queries, keys, values, out, before, capacity } = slot;
  const [group, scale] = [heads / keyValueHeads, 1 / Math.sqrt(headDim)];
  const sizes = [group, headDim, before + 1, capacity, scale];
  return machine.call("attendOne", queries, keys, values, out, scores, ...sizes, from, to);
}

/** One head of several new tokens, a block of queries at a time. */
function attendMany(
  machine: Machine,
  { heads, keyValueHeads, headDim }: Model,
  { queries, out, keys, values, capacity, before, count }: CachedRows,
  head: number,
  scores: Address,
): readonly Call[] {
  const stride = heads * headDim;
  const shared = Math.floor((head * keyValueHeads) / heads) * capacity * headDim * 4;
  return Array.from({ length: Math.ceil(count / QUERIES) }, (_, block) => {
    const from = block * QUERIES;
    const rows = Math.min(QUERIES, count - from);
    const seen = before + from + rows;
    const at = (from * stride + head * headDim) * 4;
    return [
      machine.product({
        m: rows,
        n: seen,
        k: headDim,
        a: queries + at,
        lda: stride,
        b: keys + shared,
        ldb: headDim,
        transposeB: true,
        c: scores,
        ldc: seen,
      }),
      machine.call("causalSoftmax", scores, seen, seen, before + from, 1 / Math.sqrt(headDim), 0, rows),
      machine.product({
        m: rows,
        n: headDim,
        k: seen,
        a: scores,
        lda: seen,
        b: values + shared,
        ldb: headDim,
        c: out + at,
        ldc: stride,
      }),
    ];
  }).flat();
}
