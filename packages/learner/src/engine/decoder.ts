import { AgentError } from "@afterstate/core";
import type { TransformerConfig } from "../tensor/transformer-config.js";
import { attendOnCaches } from "./cached-attention.js";
import type { Address } from "./kernels.js";
import { type Attend, layerForward, type Rows, takeActivations } from "./layer.js";
import type { Machine } from "./machine.js";
import { modelOf } from "./model.js";
import type { PackedSequence } from "./packed-tokens.js";
import { openRotaryTable } from "./rotary-table.js";
import type { PlacedWeights } from "./weights.js";

/** A sequence that is being decoded, with the keys and values of what it has seen. */
export interface Slot {
  /** Tokens it has seen. */
  readonly length: number;
  /** Tokens it has room for. */
  readonly capacity: number;
  free(): void;
}

/** New tokens of a slot: a prompt, or the token that was sampled last. At least one. */
export interface Feed {
  readonly slot: Slot;
  readonly ids: readonly number[];
}

/** Runs tokens through a model with a key-value cache. */
export interface Decoder {
  /** A slot with room for `capacity` tokens. */
  openSlot(capacity: number): Slot;
  /**
   * Runs the new tokens of any slots at once: prompts and single tokens side by side, each weight read once for all of them.
   *
   * @returns scores of the token after each feed's last, in the order of the feeds; valid until the machine is used again. [feeds, vocab]
   * @throws AgentError `engine/slot-full`.
   */
  decode(feeds: readonly Feed[]): Float32Array;
  free(): void;
}

/** Keys and values of all layers lie one after the other: [layers, 2, keyValueHeads, capacity, headDim]. */
class Cache implements Slot {
  length = 0;
  constructor(
    readonly address: Address,
    readonly capacity: number,
    readonly free: () => void,
  ) {}
}

/** A decoder over placed weights. */
export function createDecoder(machine: Machine, config: TransformerConfig, weights: PlacedWeights): Decoder {
  const { arena, kernels } = machine;
  const model = modelOf(config, weights);
  const { hidden, vocab, heads, keyValueHeads, headDim } = model;
  const table = openRotaryTable(arena, config);
  const slotFloats = (capacity: number) => model.layers.length * 2 * keyValueHeads * capacity * headDim;

  /** Attention of new tokens on their slots, after they were appended there. */
  const attendOn =
    (caches: readonly Cache[], sequences: readonly PackedSequence[], layer: number): Attend =>
    (rows, out) =>
      attendOnCaches(
        machine,
        model,
        caches.map((cache, index) => {
          const { start, length } = sequences[index]!;
          const half = keyValueHeads * cache.capacity * headDim * 4;
          const keys = cache.address + layer * 2 * half;
          const [q, kv] = [start * heads * headDim * 4, start * keyValueHeads * headDim * 4];
          kernels.appendHeads(rows.keys + kv, keys, keyValueHeads, headDim, cache.capacity, cache.length, length);
          kernels.appendHeads(
            rows.values + kv,
            keys + half,
            keyValueHeads,
            headDim,
            cache.capacity,
            cache.length,
            length,
          );
          return {
            queries: rows.queries + q,
            out: out + q,
            keys,
            values: keys + half,
            before: cache.length,
            count: length,
            capacity: cache.capacity,
          };
        }),
      );

  return {
    openSlot(capacity) {
      const address = arena.allocate(slotFloats(capacity));
      return new Cache(address, capacity, () => arena.free(address));
    },

    decode(feeds) {
      const caches = feeds.map(({ slot }) => slot as Cache);
      for (const { slot, ids } of feeds) {
        if (slot.length + ids.length > slot.capacity) {
          throw new AgentError(
            "engine/slot-full",
            `a slot for ${slot.capacity} tokens holds ${slot.length} and was given ${ids.length} more; open it with more room`,
          );
        }
      }
      table.reach(Math.max(...feeds.map(({ slot, ids }) => slot.length + ids.length)));
      const count = feeds.reduce((sum, { ids }) => sum + ids.length, 0);
      const scores = arena.pass(() => {
        const positions = arena.take(count);
        const x = arena.take(count * hidden);
        const view = arena.integers(positions, count);
        let start = 0;
        const sequences = feeds.map(({ slot, ids }) => {
          ids.forEach((id, t) => {
            view[start + t] = slot.length + t;
            arena.floats.set(
              model.embedding.data.subarray(id * hidden, (id + 1) * hidden),
              x / 4 + (start + t) * hidden,
            );
          });
          start += ids.length;
          return { start: start - ids.length, length: ids.length };
        });
        const rows: Rows = { count, sequences, positions, cos: table.cos, sin: table.sin };
        const last = runLayers(rows, x, (layer) => attendOn(caches, sequences, layer));
        return scoresOf(last, sequences);
      });
      feeds.forEach(({ ids }, index) => {
        caches[index]!.length += ids.length;
      });
      return scores;
    },

    free: () => table.free(),
  };

  function runLayers(rows: Rows, x: Address, attend: (layer: number) => Attend): Address {
    let [now, next] = [x, arena.take(rows.count * hidden)];
    model.layers.forEach((layer, index) => {
      arena.scope(() => {
        const kept = takeActivations(machine, model, layer, rows, false);
        layerForward(machine, model, layer, rows, now, next, kept, attend(index));
      });
      [now, next] = [next, now];
    });
    return now;
  }

  /** Scores after the last token of each sequence. [sequences, vocab] */
  function scoresOf(x: Address, sequences: readonly PackedSequence[]): Float32Array {
    const count = sequences.length;
    const [places, picked, normed, scale] = [
      arena.take(count),
      arena.take(count * hidden),
      arena.take(count * hidden),
      arena.take(count),
    ];
    arena.integers(places, count).set(sequences.map(({ start, length }) => start + length - 1));
    kernels.gatherRows(x, places, picked, hidden, count);
    kernels.rmsNorm(picked, model.norm.address!, normed, scale, config.rms_norm_eps, hidden, count);
    const scores = arena.take(count * vocab);
    machine.multiply({
      m: count,
      n: vocab,
      k: hidden,
      a: normed,
      lda: hidden,
      b: model.head,
      ldb: hidden,
      transposeB: true,
      c: scores,
      ldc: vocab,
    });
    return arena.view(scores, count * vocab);
  }
}
