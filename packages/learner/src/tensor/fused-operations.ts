import * as tf from "@tensorflow/tfjs";

/**
 * Operations that a backend has as kernels of its own, gradients included. They mean what the functions of the same name in ops.ts
 * mean, which compose them of TensorFlow.js' operations where a backend has none.
 */
export interface FusedOperations {
  embed(ids: tf.Tensor1D, table: tf.Tensor2D): tf.Tensor2D;
  rmsNorm(x: tf.Tensor2D, weight: tf.Tensor1D, epsilon: number): tf.Tensor2D;
  rotary(x: tf.Tensor4D, cosines: tf.Tensor, sines: tf.Tensor): tf.Tensor4D;
  swiglu(gate: tf.Tensor2D, up: tf.Tensor2D): tf.Tensor2D;
  /** Queries [batch, seq, heads, headDim], keys and values [batch, seq, kvHeads, headDim] → [batch, seq, heads, headDim]. */
  causalAttention(queries: tf.Tensor4D, keys: tf.Tensor4D, values: tf.Tensor4D, scale: number): tf.Tensor4D;
  /** Writes keys and values [rows, seq, kvHeads, headDim] into a cache [rows, capacity, kvHeads, headDim], each row from its position on. */
  appendToCache(cache: LayerCache, added: LayerCache, positions: tf.Tensor1D): void;
  /** Attention of one query a row, [rows, 1, heads, headDim], on what its cache holds up to its position. */
  cachedAttention(queries: tf.Tensor4D, cache: LayerCache, positions: tf.Tensor1D, scale: number): tf.Tensor4D;
  targetLogProbs(logits: tf.Tensor2D, targets: tf.Tensor1D): tf.Tensor1D;
  expectedCost(logits: tf.Tensor2D, cost: TokenCost): tf.Tensor1D;
  /** Adds gradients, laid end to end, to a vector in place; makes the vector where there is none. */
  addGradients(total: tf.Tensor1D | undefined, gradients: readonly tf.Tensor[]): tf.Tensor1D;
  /** One step of AdamW on all weights, in place. */
  adamStep(weights: readonly tf.Tensor[], step: AdamStep): void;
}

/** Keys and values of one layer. */
export interface LayerCache {
  readonly keys: tf.Tensor4D;
  readonly values: tf.Tensor4D;
}

/**
 * What each token of a row costs.
 *
 *   c(v) = own · log π(v) − fromReference · r(v) − w · clip(t(v) − log π(v), ±clip)
 */
export interface TokenCost {
  readonly own: number;
  /** r. [rows, vocab] */
  readonly reference?: { readonly logProbs: tf.Tensor2D; readonly coefficient: number };
  /** t [rows, vocab], w [rows]. */
  readonly teacher?: { readonly logProbs: tf.Tensor2D; readonly weights: tf.Tensor1D; readonly clip: number };
}

/** A step of AdamW in numbers. Vectors hold all weights end to end; moments are changed in place. */
export interface AdamStep {
  readonly gradient: tf.Tensor1D;
  readonly mean: tf.Tensor1D;
  readonly variance: tf.Tensor1D;
  /** What the gradient is multiplied with before all else. */
  readonly scale: number;
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** 1 − β₁ᵗ and 1 − β₂ᵗ. */
  readonly correction1: number;
  readonly correction2: number;
}

const fused = new WeakMap<tf.KernelBackend, FusedOperations>();

/** Gives a backend its fused operations. */
export function fuseOperations(backend: tf.KernelBackend, operations: FusedOperations): void {
  fused.set(backend, operations);
}

/** The fused operations of the backend in use; undefined when it has none. */
export function fusedOperations(): FusedOperations | undefined {
  return fused.get(tf.backend());
}
