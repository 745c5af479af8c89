import type { PolicyWeights } from "../types.js";
import type { Machine } from "./machine.js";
import type { Matrix } from "./product.js";

/** Weights where an engine can compute on them, by Hugging Face name. */
export type PlacedWeights = ReadonlyMap<string, Placed>;

/** One weight. */
export interface Placed extends Matrix {
  /** Floats before it in the block of the weights that learn; absent for a frozen one. */
  readonly learned?: number;
}

/** Weights start at multiples of it within a block. In floats. */
const ALIGNMENT = 16;

/** Weights in the engine's hands, until they are freed. */
export interface WeightBlock {
  readonly placed: PlacedWeights;
  free(): void;
}

/**
 * Places weights that do not learn. Matrices stay where they are when BLAS reads them; the rest is copied into the arena.
 * The given arrays must not change as long as they are placed.
 */
export function placeFrozen(machine: Machine, weights: PolicyWeights): WeightBlock {
  const { arena, readsAnywhere } = machine;
  const addresses: number[] = [];
  const placed = new Map<string, Placed>();
  for (const [name, { shape, data }] of weights) {
    if (readsAnywhere && shape.length > 1) {
      placed.set(name, machine.matrix(data));
      continue;
    }
    const address = arena.allocate(data.length);
    addresses.push(address);
    arena.view(address, data.length).set(data);
    placed.set(name, machine.matrix(arena.view(address, data.length), address));
  }
  return { placed, free: () => addresses.forEach((address) => arena.free(address)) };
}

/** The plan of one block that holds weights, gradients or moments of all weights that learn, one after the other. */
export interface LearnedLayout {
  readonly offsets: ReadonlyMap<string, number>;
  /** In floats, gaps included; gaps are zero and stay it. */
  readonly length: number;
}

/** Plans a block. */
export function layOut(weights: PolicyWeights): LearnedLayout {
  const offsets = new Map<string, number>();
  let length = 0;
  for (const [name, { data }] of weights) {
    offsets.set(name, length);
    length += Math.ceil(data.length / ALIGNMENT) * ALIGNMENT;
  }
  return { offsets, length };
}

/** Writes arrays into a block of the plan; what is missing becomes 0. */
export function fillBlock(
  { arena }: Machine,
  { offsets, length }: LearnedLayout,
  block: number,
  arrayOf: (name: string) => Float32Array | undefined,
): void {
  const view = arena.view(block, length).fill(0);
  for (const [name, offset] of offsets) {
    const data = arrayOf(name);
    if (data !== undefined) view.set(data, offset);
  }
}
