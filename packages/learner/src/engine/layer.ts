import { type AttentionRows, attention, attentionBackward, probabilityFloats } from "./attention.js";
import type { Address } from "./kernels.js";
import { type GradientBlock, gradientOf, linear, linearInputGradient, linearWeightGradient } from "./linear.js";
import type { Machine } from "./machine.js";
import type { Layer, Linear, Model } from "./model.js";
import type { PackedSequence } from "./packed-tokens.js";

/** Packed rows as a layer sees them. */
export interface Rows {
  readonly count: number;
  readonly sequences: readonly PackedSequence[];
  /** int32. [rows] */
  readonly positions: Address;
  readonly cos: Address;
  readonly sin: Address;
}

/** What a layer's backward pass needs of its forward pass. All [rows, …]. */
export interface Activations {
  readonly queries: Address;
  readonly keys: Address;
  readonly values: Address;
  /** Before the norms of each head; 0 where there are none. */
  readonly rawQueries: Address;
  readonly rawKeys: Address;
  /** 1 ÷ root mean square of each row, or of each row's heads. */
  readonly inputScale: Address;
  readonly middleScale: Address;
  readonly queryScale: Address;
  readonly keyScale: Address;
  /** See `attention`; undefined where the backward pass computes them again. */
  readonly probabilities: Address | undefined;
  readonly mixed: Address;
  /** The residual stream between attention and feed-forward. [rows, hidden] */
  readonly middle: Address;
  readonly gate: Address;
  readonly up: Address;
  /** x Aᵀ of each map with an adapter. [rows, rank] */
  readonly low: ReadonlyMap<Linear, Address>;
}

/** Takes room for the activations of one layer. */
export function takeActivations(
  { arena }: Machine,
  model: Model,
  layer: Layer,
  { count, sequences }: Rows,
  keepProbabilities: boolean,
): Activations {
  const { hidden, heads, keyValueHeads, headDim, intermediate } = model;
  const [query, keyValue] = [heads * headDim, keyValueHeads * headDim];
  const normed = layer.queryNorm !== undefined;
  const maps = [layer.query, layer.key, layer.value, layer.output, layer.gate, layer.up, layer.down];
  return {
    queries: arena.take(count * query),
    keys: arena.take(count * keyValue),
    values: arena.take(count * keyValue),
    rawQueries: normed ? arena.take(count * query) : 0,
    rawKeys: normed ? arena.take(count * keyValue) : 0,
    inputScale: arena.take(count),
    middleScale: arena.take(count),
    queryScale: normed ? arena.take(count * heads) : 0,
    keyScale: normed ? arena.take(count * keyValueHeads) : 0,
    probabilities: keepProbabilities ? arena.take(probabilityFloats(model, sequences)) : undefined,
    mixed: arena.take(count * query),
    middle: arena.take(count * hidden),
    gate: arena.take(count * intermediate),
    up: arena.take(count * intermediate),
    low: new Map(maps.flatMap((map) => (map.adapter ? [[map, arena.take(count * map.adapter.rank)] as const] : []))),
  };
}

/** How queries, keys and values become what is mixed: on themselves, or on a cache. */
export type Attend = (rows: AttentionRows, out: Address, kept: Address | undefined) => void;

/**
 * One layer forward.
 *
 *   middle = x + output(attention(norm(x)))        out = middle + down(swiglu(gate, up)(norm(middle)))
 *
 * @param x [rows, hidden] @param out [rows, hidden], not x.
 */
export function layerForward(
  machine: Machine,
  model: Model,
  layer: Layer,
  rows: Rows,
  x: Address,
  out: Address,
  kept: Activations,
  attend: Attend,
): void {
  const { arena, kernels } = machine;
  const { hidden, heads, keyValueHeads, headDim, intermediate } = model;
  const { count, positions, cos, sin } = rows;
  const epsilon = model.config.rms_norm_eps;
  const apply = (from: Address, ...outs: readonly (readonly [map: Linear, y: Address])[]) =>
    linear(
      machine,
      from,
      count,
      outs.map(([map, y]) => ({ map, y, low: kept.low.get(map) ?? 0 })),
    );
  arena.scope(() => {
    const normed = arena.take(count * hidden);
    kernels.rmsNorm(x, layer.inputNorm.address!, normed, kept.inputScale, epsilon, hidden, count);
    const { queryNorm, keyNorm } = layer;
    apply(
      normed,
      [layer.query, queryNorm === undefined ? kept.queries : kept.rawQueries],
      [layer.key, keyNorm === undefined ? kept.keys : kept.rawKeys],
      [layer.value, kept.values],
    );
    if (queryNorm !== undefined && keyNorm !== undefined) {
      const [q, k] = [queryNorm.address!, keyNorm.address!];
      kernels.rmsNorm(kept.rawQueries, q, kept.queries, kept.queryScale, epsilon, headDim, count * heads);
      kernels.rmsNorm(kept.rawKeys, k, kept.keys, kept.keyScale, epsilon, headDim, count * keyValueHeads);
    }
    kernels.rotary(kept.queries, cos, sin, positions, heads, headDim, 1, count);
    kernels.rotary(kept.keys, cos, sin, positions, keyValueHeads, headDim, 1, count);
    attend(kept, kept.mixed, kept.probabilities);
    apply(kept.mixed, [layer.output, kept.middle]);
    kernels.addTo(kept.middle, x, count * hidden);

    kernels.rmsNorm(kept.middle, layer.middleNorm.address!, normed, kept.middleScale, epsilon, hidden, count);
    apply(normed, [layer.gate, kept.gate], [layer.up, kept.up]);
    const active = arena.take(count * intermediate);
    kernels.swiglu(kept.gate, kept.up, active, count * intermediate);
    apply(active, [layer.down, out]);
    kernels.addTo(out, kept.middle, count * hidden);
  });
}

/** Attention of packed sequences on themselves. */
export function attendWithin(machine: Machine, model: Model, { sequences }: Rows): Attend {
  return (rows, out, kept) => attention(machine, model, sequences, rows, out, kept);
}

/**
 * One layer backward: the gradient of its output, in dx, becomes that of its input; gradients of what learns are added.
 * Overwrites the activations.
 *
 * @param x the layer's input. @param dx [rows, hidden]
 */
export function layerBackward(
  machine: Machine,
  model: Model,
  layer: Layer,
  rows: Rows,
  x: Address,
  dx: Address,
  kept: Activations,
  gradients: GradientBlock,
): void {
  machine.arena.scope(() => feedForwardBackward(machine, model, layer, rows, dx, kept, gradients));
  machine.arena.scope(() => attentionPartBackward(machine, model, layer, rows, x, dx, kept, gradients));
}

/** Room for the gradient of x Aᵀ. [rows, rank] */
function takeLowSlope({ arena }: Machine, { adapter }: Linear, rows: number): Address {
  return adapter === undefined ? 0 : arena.take(rows * adapter.rank);
}

function feedForwardBackward(
  machine: Machine,
  model: Model,
  layer: Layer,
  { count }: Rows,
  dx: Address,
  kept: Activations,
  gradients: GradientBlock,
): void {
  const { arena, kernels } = machine;
  const { hidden, intermediate } = model;
  const { middle, middleScale, gate, up, low } = kept;
  const active = arena.take(count * intermediate);
  const downSlope = takeLowSlope(machine, layer.down, count);
  linearInputGradient(machine, layer.down, dx, active, 0, downSlope, count);
  kernels.swigluBackward(gate, up, active, count * intermediate); // gate, up: their gradients; active: its value again
  linearWeightGradient(machine, layer.down, active, dx, low.get(layer.down) ?? 0, downSlope, count, gradients);

  const normed = arena.take(count * hidden);
  kernels.rmsNormAgain(middle, layer.middleNorm.address!, normed, middleScale, hidden, count);
  const slope = arena.take(count * hidden);
  [[layer.gate, gate] as const, [layer.up, up] as const].forEach(([map, dy], index) => {
    const lowSlope = takeLowSlope(machine, map, count);
    linearInputGradient(machine, map, dy, slope, index === 0 ? 0 : 1, lowSlope, count);
    linearWeightGradient(machine, map, normed, dy, low.get(map) ?? 0, lowSlope, count, gradients);
  });
  const dNorm = gradientOf(layer.middleNorm, gradients);
  if (dNorm !== undefined) kernels.rmsNormWeightGradient(middle, middleScale, slope, dNorm, hidden, count, hidden);
  kernels.rmsNormBackward(middle, layer.middleNorm.address!, middleScale, slope, dx, 1, hidden, count);
}

function attentionPartBackward(
  machine: Machine,
  model: Model,
  layer: Layer,
  rows: Rows,
  x: Address,
  dx: Address,
  kept: Activations,
  gradients: GradientBlock,
): void {
  const { arena, kernels } = machine;
  const { hidden, heads, keyValueHeads, headDim } = model;
  const { count, sequences, positions, cos, sin } = rows;
  const [query, keyValue] = [heads * headDim, keyValueHeads * headDim];
  const dMixed = arena.take(count * query);
  const outputSlope = takeLowSlope(machine, layer.output, count);
  linearInputGradient(machine, layer.output, dx, dMixed, 0, outputSlope, count);
  const lowOutput = kept.low.get(layer.output) ?? 0;
  linearWeightGradient(machine, layer.output, kept.mixed, dx, lowOutput, outputSlope, count, gradients);

  const slopes = {
    queries: arena.take(count * query),
    keys: arena.take(count * keyValue),
    values: arena.take(count * keyValue),
  };
  attentionBackward(machine, model, sequences, kept, dMixed, kept.probabilities, slopes);
  kernels.rotary(slopes.queries, cos, sin, positions, heads, headDim, -1, count);
  kernels.rotary(slopes.keys, cos, sin, positions, keyValueHeads, headDim, -1, count);
  for (const [norm, raw, scale, dy, groups] of [
    [layer.queryNorm, kept.rawQueries, kept.queryScale, slopes.queries, heads],
    [layer.keyNorm, kept.rawKeys, kept.keyScale, slopes.keys, keyValueHeads],
  ] as const) {
    if (norm === undefined) continue;
    const dNorm = gradientOf(norm, gradients);
    if (dNorm !== undefined) kernels.rmsNormWeightGradient(raw, scale, dy, dNorm, headDim, count * groups, headDim);
    kernels.rmsNormBackward(raw, norm.address!, scale, dy, dy, 0, headDim, count * groups);
  }

  const normed = arena.take(count * hidden);
  kernels.rmsNormAgain(x, layer.inputNorm.address!, normed, kept.inputScale, hidden, count);
  const slope = arena.take(count * hidden);
  [
    [layer.query, slopes.queries] as const,
    [layer.key, slopes.keys] as const,
    [layer.value, slopes.values] as const,
  ].forEach(([map, dy], index) => {
    const lowSlope = takeLowSlope(machine, map, count);
    linearInputGradient(machine, map, dy, slope, index === 0 ? 0 : 1, lowSlope, count);
    linearWeightGradient(machine, map, normed, dy, kept.low.get(map) ?? 0, lowSlope, count, gradients);
  });
  const dNorm = gradientOf(layer.inputNorm, gradients);
  if (dNorm !== undefined) kernels.rmsNormWeightGradient(x, kept.inputScale, slope, dNorm, hidden, count, hidden);
  kernels.rmsNormBackward(x, layer.inputNorm.address!, kept.inputScale, slope, dx, 1, hidden, count);
}
