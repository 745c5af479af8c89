import { assertArraysFit } from "../checkpoints/assert-arrays-fit.js";
import type { PolicyWeights } from "../types.js";

/** Numbers of AdamW (arXiv:1711.05101). */
export interface AdamOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** λ, of what {@link isDecayed} names. */
  readonly weightDecay: number;
}

/** Whether weight decay acts on a weight of this shape: on matrices, not on norms and biases, which it would only push off their place. */
export function isDecayed(shape: readonly number[]): boolean {
  return shape.length > 1;
}

/** The names and shapes of AdamW's state: two moments of each weight, and the number of steps. */
export function optimizerShapes(weights: PolicyWeights): ReadonlyMap<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>([["step", [1]]]);
  for (const [name, { shape }] of weights) {
    shapes.set(`${name}.exp_avg`, shape);
    shapes.set(`${name}.exp_avg_sq`, shape);
  }
  return shapes;
}

/**
 * Refuses a state that belongs to other weights. What a trainer keeps beside AdamW's state under names of its own is left alone.
 *
 * @param file how the error names where it comes from.
 * @throws CheckpointError `checkpoint/mismatch`.
 */
export function assertOptimizerFits(
  weights: PolicyWeights,
  optimizer: PolicyWeights | undefined,
  file = "the optimizer's state",
): void {
  if (optimizer === undefined) return;
  const own = [...optimizer].filter(([name]) => name === "step" || /\.exp_avg(_sq)?$/.test(name));
  assertArraysFit(file, new Map(own), optimizerShapes(weights));
}
