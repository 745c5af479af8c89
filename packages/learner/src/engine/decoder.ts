import { AgentError } from "@afterstate/core";
import type { TransformerConfig } from "../tensor/transformer-config.js";
import { attendOnCaches } from "./cached-attention.js";
import type { Address } from "./kernels.js";
import { type Attend, layerForward, type Rows, takeActivations } from "./layer.js";
import type { Machine } from "./machine.js";
import { modelOf } from "./model.js";
import { openRotaryTable } from "./rotary-table.js";
import { inGroups, type RowGroup } from "./row-groups.js";
import type { PlacedWeights } from "./weights.js";

/** A sequence that is being decoded, with the keys and values of what it has seen. */
export interface Slot {
  /** Tokens it has seen. */
  readonly length: number;
  /** Tokens it has room for. */
  readonly capacity: number;
  /** Forgets the tokens from `length` on, e.g. those of a draft that was not accepted. */
  rollBack(length: number): void;
  free(): void;
}

/** New tokens of a slot: a part of a prompt, or tokens that were sampled or drafted. At least one. */
export interface Feed {
  readonly slot: Slot;
  readonly ids: readonly number[];
  /** Scores after each token, as if they were fed one by one; else after the last. */
  readonly each?: boolean;
}

/** Runs tokens through a model with a key-value cache. */
export interface Decoder {
  /** A slot with room for `capacity` tokens. */
  openSlot(capacity: number): Slot;
  /**
   * Runs the new tokens of any slots at once: prompts and single tokens side by side, each weight read once for all single tokens.
   *
   * A slot's scores do not depend, in any bit, on what is fed beside it: a prompt is computed together with nothing else, and tokens
   * that are fed one by one or with `each` on their own. They do depend on the parts in which a prompt is fed.
   *
   * @returns scores of the token after each feed's last, or after each of its tokens, in the order of the feeds; valid until the
   * machine is used again. [scored, vocab]
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

  rollBack(length: number): void {
    this.length = Math.min(this.length, length);
  }
}

/** A feed with its rows in a pass. */
interface PlacedFeed {
  readonly cache: Cache;
  readonly start: number;
  readonly length: number;
  readonly alone: boolean;
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
    (feeds: readonly PlacedFeed[], layer: number): Attend =>
    (rows, out) =>
      attendOnCaches(
        machine,
        model,
        feeds.flatMap(({ cache, start, length, alone }) => {
          const { capacity, length: before } = cache;
          const keys = cache.address + layer * 2 * keyValueHeads * capacity * headDim * 4;
          const values = keys + keyValueHeads * capacity * headDim * 4;
          const kv = start * keyValueHeads * headDim * 4;
          kernels.appendHeads(rows.keys + kv, keys, keyValueHeads, headDim, capacity, before, length);
          kernels.appendHeads(rows.values + kv, values, keyValueHeads, headDim, capacity, before, length);
          const ofRows = (from: number, count: number) => {
            const q = (start + from) * heads * headDim * 4;
            return { queries: rows.queries + q, out: out + q, keys, values, before: before + from, count, capacity };
          };
          return alone ? Array.from({ length }, (_, t) => ofRows(t, 1)) : [ofRows(0, length)];
        }),
      );

  return {
    openSlot(capacity) {
      const address = arena.allocate(slotFloats(capacity));
      return new Cache(address, capacity, () => arena.free(address));
    },

    decode(feeds) {
      for (const { slot, ids } of feeds) {
        if (slot.length + ids.length > slot.capacity) {
          throw new AgentError(
            "engine/slot-full",
            `a slot for ${slot.capacity} tokens holds ${slot.length} and was given ${ids.length} more; open it with more room`,
          );
        }
      }
      table.reach(Math.max(...feeds.map(({ slot, ids }) => slot.length + ids.length)));
      const placed = place(feeds);
      const scores = arena.pass(() => {
        const count = feeds.reduce((sum, { ids }) => sum + ids.length, 0);
        const positions = arena.take(count);
        const x = arena.take(count * hidden);
        const view = arena.integers(positions, count);
        placed.forEach(({ cache, start }, feed) => {
          feeds[feed]!.ids.forEach((id, t) => {
            view[start + t] = cache.length + t;
            arena.floats.set(
              model.embedding.data.subarray(id * hidden, (id + 1) * hidden),
              x / 4 + (start + t) * hidden,
            );
          });
        });
        const rows: Rows = { count, sequences: placed, positions, cos: table.cos, sin: table.sin };
        const last = runLayers(rows, x, groupsOf(placed), (layer) => attendOn(placed, layer));
        return scoresOf(
          last,
          feeds.flatMap(({ each, ids }, feed) => {
            const { start } = placed[feed]!;
            return each === true ? ids.map((_, t) => start + t) : [start + ids.length - 1];
          }),
        );
      });
      for (const { cache, length } of placed) cache.length += length;
      return scores;
    },

    free: () => table.free(),
  };

  function runLayers(rows: Rows, x: Address, groups: readonly RowGroup[], attend: (layer: number) => Attend): Address {
    const grouped = inGroups(machine, groups);
    let [now, next] = [x, arena.take(rows.count * hidden)];
    model.layers.forEach((layer, index) => {
      arena.scope(() => {
        const kept = takeActivations(machine, model, layer, rows, false);
        layerForward(grouped, model, layer, rows, now, next, kept, attend(index));
      });
      [now, next] = [next, now];
    });
    return now;
  }

  /** Scores after some rows. [picked, vocab] */
  function scoresOf(x: Address, places: readonly number[]): Float32Array {
    const count = places.length;
    const [indices, picked, normed, scale] = [
      arena.take(count),
      arena.take(count * hidden),
      arena.take(count * hidden),
      arena.take(count),
    ];
    arena.integers(indices, count).set(places);
    kernels.gatherRows(x, indices, picked, hidden, count);
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
      rowsAlone: true,
    });
    return arena.view(scores, count * vocab);
  }
}

/** Rows of a pass: first the tokens that are computed on their own, then the prompts. In the order of the feeds. */
function place(feeds: readonly Feed[]): readonly PlacedFeed[] {
  const alone = feeds.map(({ ids, each }) => each === true || ids.length === 1);
  let single = 0;
  let together = feeds.reduce((sum, { ids }, feed) => sum + (alone[feed] ? ids.length : 0), 0);
  return feeds.map(({ slot, ids: { length } }, feed) => {
    const start = alone[feed] ? single : together;
    if (alone[feed]) single += length;
    else together += length;
    return { cache: slot as Cache, start, length, alone: alone[feed]! };
  });
}

/** One group of all tokens on their own, one of each prompt. */
function groupsOf(placed: readonly PlacedFeed[]): readonly RowGroup[] {
  const single = placed.reduce((sum, { alone, length }) => sum + (alone ? length : 0), 0);
  const prompts = placed.filter(({ alone }) => !alone);
  return single === 0 ? prompts : [{ start: 0, length: single, alone: true }, ...prompts];
}
