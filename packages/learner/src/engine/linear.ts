import type { Address } from "./kernels.js";
import type { Machine } from "./machine.js";
import type { Linear } from "./model.js";
import type { Placed } from "./weights.js";

/** Where the gradients of the weights that learn are added: the block's address, see `layOut`. */
export type GradientBlock = Address;

/** Where the gradient of a weight is added; undefined for a frozen one. */
export function gradientOf(weight: Placed, gradients: GradientBlock): Address | undefined {
  return weight.learned === undefined ? undefined : gradients + weight.learned * 4;
}

/** One of several maps of the same input. */
export interface MapOut {
  readonly map: Linear;
  /** [rows, outputs] */
  readonly y: Address;
  /** Where x Aᵀ goes, for a map with an adapter. [rows, rank] */
  readonly low: Address;
}

/**
 * y = x Wᵀ + b + s (x Aᵀ) Bᵀ of each map.
 *
 * @param x [rows, inputs]
 */
export function linear(machine: Machine, x: Address, rows: number, outs: readonly MapOut[]): void {
  const { inputs } = outs[0]!.map;
  const adapted = outs.flatMap(({ map: { adapter, outputs }, ...out }) =>
    adapter ? [{ ...adapter, ...out, outputs }] : [],
  );
  const common = { m: rows, transposeB: true };
  const down = { ...common, k: inputs, a: x, lda: inputs, ldb: inputs };
  machine.multiplyAll([
    ...outs.map(({ map, y }) => ({ ...down, n: map.outputs, b: map.weight, c: y, ldc: map.outputs })),
    ...adapted.map(({ rank, a, low }) => ({ ...down, n: rank, b: a, c: low, ldc: rank })),
  ]);
  for (const { map, y } of outs) {
    if (map.bias !== undefined) machine.kernels.addBias(y, map.bias.address!, map.outputs, rows);
  }
  machine.multiplyAll(
    adapted.map(({ rank, scale, b, low, y, outputs }) => ({
      ...common,
      n: outputs,
      k: rank,
      a: low,
      lda: rank,
      b,
      ldb: rank,
      alpha: scale,
      beta: 1,
      c: y,
      ldc: outputs,
    })),
  );
}

/**
 * dx = β dx + dy W + d(x Aᵀ) A,  d(x Aᵀ) = s dy B
 *
 * @param lowSlope where d(x Aᵀ) goes, for {@link linearWeightGradient}. [rows, rank]
 */
export function linearInputGradient(
  machine: Machine,
  map: Linear,
  dy: Address,
  dx: Address,
  beta: 0 | 1,
  lowSlope: Address,
  rows: number,
): void {
  const { inputs, outputs, weight, adapter } = map;
  const { multiply } = machine;
  multiply({ m: rows, n: inputs, k: outputs, a: dy, lda: outputs, b: weight, ldb: inputs, beta, c: dx, ldc: inputs });
  if (adapter === undefined) return;
  const { rank, scale, a, b } = adapter;
  multiply({ m: rows, n: rank, k: outputs, a: dy, lda: outputs, b, ldb: rank, alpha: scale, c: lowSlope, ldc: rank });
  multiply({ m: rows, n: inputs, k: rank, a: lowSlope, lda: rank, b: a, ldb: inputs, beta: 1, c: dx, ldc: inputs });
}

/**
 * dW += dyᵀ x,  db += Σ_rows dy,  dB += s dyᵀ (x Aᵀ),  dA += d(x Aᵀ)ᵀ x, of what learns.
 *
 * @param low x Aᵀ, and @param lowSlope its gradient, as the other two functions left them.
 */
export function linearWeightGradient(
  machine: Machine,
  map: Linear,
  x: Address,
  dy: Address,
  low: Address,
  lowSlope: Address,
  rows: number,
  gradients: GradientBlock,
): void {
  const { inputs, outputs, weight, bias, adapter } = map;
  const { multiply, kernels } = machine;
  const dW = gradientOf(weight, gradients);
  if (dW !== undefined) {
    multiply({
      m: outputs,
      n: inputs,
      k: rows,
      a: dy,
      lda: outputs,
      transposeA: true,
      b: x,
      ldb: inputs,
      beta: 1,
      c: dW,
      ldc: inputs,
    });
  }
  const db = bias === undefined ? undefined : gradientOf(bias, gradients);
  if (db !== undefined) kernels.sumRows(dy, db, outputs, rows, outputs);
  if (adapter === undefined) return;
  const { rank, scale, a, b } = adapter;
  const [dA, dB] = [gradientOf(a, gradients), gradientOf(b, gradients)];
  if (dA === undefined || dB === undefined) return;
  multiply({
    m: outputs,
    n: rank,
    k: rows,
    a: dy,
    lda: outputs,
    transposeA: true,
    b: low,
    ldb: rank,
    alpha: scale,
    beta: 1,
    c: dB,
    ldc: rank,
  });
  multiply({
    m: rank,
    n: inputs,
    k: rows,
    a: lowSlope,
    lda: rank,
    transposeA: true,
    b: x,
    ldb: inputs,
    beta: 1,
    c: dA,
    ldc: inputs,
  });
}
