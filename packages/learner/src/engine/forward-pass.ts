import { probabilityFloats } from "./attention.js";
import type { Address } from "./kernels.js";
import { type Activations, attendWithin, layerBackward, layerForward, type Rows, takeActivations } from "./layer.js";
import { type GradientBlock, gradientOf } from "./linear.js";
import type { Machine } from "./machine.js";
import type { Model } from "./model.js";
import type { PackedTokens } from "./packed-tokens.js";
import type { RotaryTable } from "./rotary-table.js";

/**
 * What a forward pass keeps for the backward pass, from least to most memory: nothing; the input of each layer, from which the
 * layer is computed again; all but the attention probabilities; all.
 */
export type Keep = "nothing" | "inputs" | "activations" | "all";

/** A pass over packed tokens, within a pass of the arena. */
export interface ForwardPass {
  readonly rows: Rows;
  /** int32. [rows] */
  readonly ids: Address;
  readonly keep: Keep;
  /** The residual stream before each layer, and after the last. [rows, hidden] each */
  readonly streams: readonly Address[];
  /** Of each layer; the same for all where they are not kept. */
  readonly activations: readonly Activations[];
}

/** The most that fits a budget of bytes: memory is spared by computing again. */
export function chooseKeep(model: Model, tokens: PackedTokens, budget: number): Keep {
  const { hidden, heads, keyValueHeads, headDim, intermediate, layers } = model;
  const normed = layers[0]?.queryNorm !== undefined ? 2 : 1;
  const row = 2 * hidden + heads * headDim * (1 + normed) + keyValueHeads * headDim * (1 + normed) + 2 * intermediate;
  const activations = layers.length * tokens.rows * row * 4;
  const probabilities = layers.length * probabilityFloats(model, tokens.sequences) * 4;
  if (activations + probabilities <= budget) return "all";
  return activations <= budget ? "activations" : "inputs";
}

/** Runs all layers. The rotary table reaches the longest sequence. */
export function forwardPass(
  machine: Machine,
  model: Model,
  table: RotaryTable,
  tokens: PackedTokens,
  keep: Keep,
): ForwardPass {
  const { arena } = machine;
  const count = tokens.rows;
  const ids = arena.take(count);
  const positions = arena.take(count);
  arena.integers(ids, count).set(tokens.ids);
  arena.integers(positions, count).set(tokens.positions);
  const rows: Rows = { count, sequences: tokens.sequences, positions, cos: table.cos, sin: table.sin };
  const own = keep === "activations" || keep === "all";
  const shared = own ? undefined : takeActivations(machine, model, model.layers[0]!, rows, false);
  const streams = [arena.take(count * model.hidden)];
  const spare = keep === "nothing" ? arena.take(count * model.hidden) : 0;
  embed(machine, model, tokens.ids, streams[0]!);
  const activations = model.layers.map((layer, index) => {
    const kept =
      shared === undefined ? takeActivations(machine, model, layer, rows, keep === "all") : of(shared, model, index);
    const out = keep !== "nothing" ? arena.take(count * model.hidden) : index % 2 === 0 ? spare : streams[0]!;
    layerForward(machine, model, layer, rows, streams[index]!, out, kept, attendWithin(machine, model, rows));
    streams.push(out);
    return kept;
  });
  return { rows, ids, keep, streams, activations };
}

/** Activations that all layers share, as those of another layer than the first: its adapters write to the same places. */
function of(shared: Activations, model: Model, index: number): Activations {
  if (index === 0 || shared.low.size === 0) return shared;
  const maps = (at: number) => {
    const layer = model.layers[at]!;
    return [layer.query, layer.key, layer.value, layer.output, layer.gate, layer.up, layer.down];
  };
  const first = maps(0);
  return { ...shared, low: new Map(maps(index).map((map, i) => [map, shared.low.get(first[i]!) ?? 0])) };
}

/** Rows of the embedding table: x_i = E[id_i]. */
function embed({ arena }: Machine, { embedding, hidden }: Model, ids: Int32Array, x: Address): void {
  const { floats } = arena;
  ids.forEach((id, row) => floats.set(embedding.data.subarray(id * hidden, (id + 1) * hidden), x / 4 + row * hidden));
}

/**
 * Runs all layers backwards.
 *
 * @param dx the gradient of the last stream; it becomes that of the embeddings. [rows, hidden]
 */
export function backwardPass(
  machine: Machine,
  model: Model,
  pass: ForwardPass,
  dx: Address,
  gradients: GradientBlock,
): void {
  const { arena } = machine;
  const { rows, streams, activations, keep } = pass;
  for (let index = model.layers.length - 1; index >= 0; index--) {
    const layer = model.layers[index]!;
    const kept = activations[index]!;
    if (keep === "inputs") {
      arena.scope(() => {
        const out = arena.take(rows.count * model.hidden);
        layerForward(machine, model, layer, rows, streams[index]!, out, kept, attendWithin(machine, model, rows));
      });
    }
    layerBackward(machine, model, layer, rows, streams[index]!, dx, kept, gradients);
  }
  const dTable = gradientOf(model.embedding, gradients);
  if (dTable !== undefined) {
    machine.kernels.scatterAdd(dTable, pass.ids, dx, model.hidden, rows.count, model.hidden);
  }
}
