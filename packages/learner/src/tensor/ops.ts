import * as tf from "@tensorflow/tfjs";
import { fusedOperations, type TokenCost } from "./fused-operations.js";

/*
 * The operations of a Llama-family transformer, each with its own gradient: fewer kernels than the tape would record,
 * and the same on every backend. Where a backend has an operation as a kernel of its own, that is what runs. All tensors are
 * float32 unless said.
 */

/** An operation with its gradient: `gradient(dy, saved)` gives one gradient per input; every tensor it uses must be in `saved`. */
export function withGradient<T extends tf.Tensor>(
  inputs: readonly tf.Tensor[],
  forward: (inputs: readonly tf.Tensor[]) => {
    readonly value: tf.Tensor;
    readonly saved?: readonly tf.Tensor[];
    readonly gradient: (dy: tf.Tensor, saved: readonly tf.Tensor[]) => tf.Tensor[];
  },
): T {
  const operation = tf.customGrad((...all) => {
    const save = all.at(-1) as unknown as (tensors: tf.Tensor[]) => void;
    const { value, saved, gradient } = forward(all.slice(0, -1) as tf.Tensor[]);
    save([...(saved ?? [])]);
    // TensorFlow.js would hold what a gradient makes and what was saved for it until all gradients are there.
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const gradients = tf.tidy(() => gradient(dy, saved));
      tf.dispose(saved);
      return gradients;
    };
    return { value, gradFunc: gradFunc as unknown as (dy: tf.Tensor, saved: tf.Tensor[]) => tf.Tensor[] };
  });
  return operation(...inputs) as T;
}

/**
 * Rows of an embedding table.
 *
 *   y_i = E[id_i]        dE = Σ_i onehot(id_i) ⊗ dy_i
 *
 * The gradient is a product with the one-hot matrix: a scatter is missing on wasm.
 *
 * @param ids int32. [tokens]
 * @param table [vocab, hidden]
 * @returns [tokens, hidden]
 */
export function embed(ids: tf.Tensor1D, table: tf.Tensor2D): tf.Tensor2D {
  const fused = fusedOperations();
  if (fused !== undefined) return fused.embed(ids, table);
  return withGradient([table], ([table]) => ({
    value: tf.gather(table!, ids),
    saved: [ids],
    gradient: (dy, [ids]) => [tf.matMul(oneHot(ids as tf.Tensor1D, table!.shape[0]!), dy, true, false)],
  }));
}

/** [rows] int32 → [rows, classes] float32. */
function oneHot(ids: tf.Tensor1D, classes: number): tf.Tensor2D {
  return tf.oneHot(ids, classes).toFloat() as tf.Tensor2D;
}

/**
 * Root-mean-square normalisation (arXiv:1910.07467).
 *
 *   y = w ⊙ x · s,  s = (mean(x²) + ε)^(−1/2)
 *   dx = s · (g − x · s² · mean(g ⊙ x)),  g = dy ⊙ w        dw = Σ_rows dy ⊙ x · s
 *
 * @param x [rows, hidden]
 * @param weight [hidden]
 */
export function rmsNorm(x: tf.Tensor2D, weight: tf.Tensor1D, epsilon: number): tf.Tensor2D {
  const fused = fusedOperations();
  if (fused !== undefined) return fused.rmsNorm(x, weight, epsilon);
  return withGradient([x, weight], (inputs) => {
    const [x, weight] = inputs as [tf.Tensor, tf.Tensor];
    const scale = tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), epsilon)); // [rows, 1]
    const unit = tf.mul(x, scale);
    const gradient = (dy: tf.Tensor, saved: readonly tf.Tensor[]) => {
      const [unit, scale, weight] = saved as [tf.Tensor, tf.Tensor, tf.Tensor];
      const g = tf.mul(dy, weight);
      const dx = tf.mul(scale, tf.sub(g, tf.mul(unit, tf.mean(tf.mul(g, unit), -1, true))));
      return [dx, tf.sum(tf.mul(dy, unit), 0)];
    };
    return { value: tf.mul(unit, weight), saved: [unit, scale, weight], gradient };
  });
}

/**
 * Cosines and sines of the rotary angles of each position, once for each half of a head.
 * Both [1, seq, 1, headDim], or [batch, seq, 1, headDim].
 */
export interface RotaryAngles {
  readonly cos: tf.Tensor;
  readonly sin: tf.Tensor;
  /** The quarter turn [a, b] → [−b, a] as a matrix: a product is faster than splitting and joining. [headDim, headDim] */
  readonly turn: tf.Tensor2D;
}

/**
 * Rotary position embedding (arXiv:2104.09864) in the half-split layout of Llama checkpoints.
 *
 *   y = x ⊙ cos + (x · Q) ⊙ sin,  Q the quarter turn        dx = dy ⊙ cos + (dy ⊙ sin) · Qᵀ
 *
 * @param x [batch, seq, heads, headDim]
 */
export function rotary(x: tf.Tensor4D, angles: RotaryAngles): tf.Tensor4D {
  const fused = fusedOperations();
  if (fused !== undefined) return fused.rotary(x, angles.cos, angles.sin);
  const turned = (x: tf.Tensor, turn: tf.Tensor, back: boolean): tf.Tensor =>
    tf.reshape(tf.matMul(tf.reshape(x, [-1, turn.shape[0]!]), turn as tf.Tensor2D, false, back), x.shape);
  return withGradient([x], ([x]) => ({
    value: tf.add(tf.mul(x!, angles.cos), tf.mul(turned(x!, angles.turn, false), angles.sin)),
    saved: [angles.cos, angles.sin, angles.turn],
    gradient: (dy, [cos, sin, turn]) => [tf.add(tf.mul(dy, cos!), turned(tf.mul(dy, sin!), turn!, true))],
  }));
}

/**
 * Gated activation of the feed-forward layer (SwiGLU, arXiv:2002.05202).
 *
 *   y = g · σ(g) ⊙ u        dg = dy ⊙ u ⊙ σ(g)(1 + g(1 − σ(g)))        du = dy ⊙ g · σ(g)
 *
 * @param gate [rows, intermediate]
 * @param up [rows, intermediate]
 */
export function swiglu(gate: tf.Tensor2D, up: tf.Tensor2D): tf.Tensor2D {
  const fused = fusedOperations();
  if (fused !== undefined) return fused.swiglu(gate, up);
  return withGradient([gate, up], (inputs) => {
    const [gate, up] = inputs as [tf.Tensor, tf.Tensor];
    const sigma = tf.sigmoid(gate);
    const swish = tf.mul(gate, sigma);
    const gradient = (dy: tf.Tensor, saved: readonly tf.Tensor[]) => {
      const [swish, sigma, up] = saved as [tf.Tensor, tf.Tensor, tf.Tensor];
      const slope = tf.add(swish, tf.mul(sigma, tf.sub(1, swish))); // σ(1 + g(1 − σ)), as swish = gσ
      return [tf.mul(tf.mul(dy, up), slope), tf.mul(dy, swish)];
    };
    return { value: tf.mul(swish, up), saved: [swish, sigma, up], gradient };
  });
}

/**
 * Causal attention probabilities.
 *
 *   P = softmax(S · c + M)        dS = c · P ⊙ (dP − Σ_keys dP ⊙ P)
 *
 * @param scores [batch, heads, queries, keys]
 * @param mask 0 where a query may look, a large negative number elsewhere; broadcast to the scores.
 */
export function attentionProbabilities(scores: tf.Tensor4D, mask: tf.Tensor, scale: number): tf.Tensor4D {
  return withGradient([scores], ([scores]) => {
    const value = tf.softmax(tf.add(tf.mul(scores!, scale), mask), -1);
    const gradient = (dy: tf.Tensor, saved: readonly tf.Tensor[]) => {
      const p = saved[0]!;
      const weighted = tf.mul(dy, p);
      return [tf.mul(tf.sub(weighted, tf.mul(p, tf.sum(weighted, -1, true))), scale)];
    };
    return { value, saved: [value], gradient };
  });
}

/**
 * log π(target) of each row.
 *
 *   ℓ_i = z_{i,target} − logsumexp(z_i)        dz_i = dℓ_i · (onehot(target_i) − softmax(z_i))
 *
 * @param logits [rows, vocab]
 * @param targets int32. [rows]
 * @returns nats. [rows]
 */
export function targetLogProbs(logits: tf.Tensor2D, targets: tf.Tensor1D): tf.Tensor1D {
  const fused = fusedOperations();
  if (fused !== undefined) return fused.targetLogProbs(logits, targets);
  return withGradient([logits], ([logits]) => {
    const classes = logits!.shape[1]!;
    const logProbs = tf.logSoftmax(logits!, -1);
    const gradient = (dy: tf.Tensor, saved: readonly tf.Tensor[]) => [
      tf.mul(tf.expandDims(dy, -1), tf.sub(oneHot(saved[1] as tf.Tensor1D, classes), tf.exp(saved[0]!))),
    ];
    return { value: tf.sum(tf.mul(logProbs, oneHot(targets, classes)), -1), saved: [logProbs, targets], gradient };
  });
}

/**
 * The expected cost of each row's next token, over the whole vocabulary.
 *
 *   C_i = Σ_v π_i(v) c_i(v)        dz_i = dC_i · π_i ⊙ (c_i − C_i)
 *
 * The cost is a constant to the gradient, though it may depend on π: with c = log π − log q this is KL(π ‖ q), gradient included.
 *
 * @param logits [rows, vocab]
 * @returns [rows]
 */
export function expectedCost(logits: tf.Tensor2D, cost: TokenCost): tf.Tensor1D {
  const fused = fusedOperations();
  if (fused !== undefined) return fused.expectedCost(logits, cost);
  return withGradient([logits], ([logits]) => {
    const logProbs = tf.logSoftmax(logits!, -1) as tf.Tensor2D;
    const costs = costOf(cost, logProbs);
    const probabilities = tf.exp(logProbs);
    const expected = tf.sum(tf.mul(probabilities, costs), -1, true);
    const slope = tf.mul(probabilities, tf.sub(costs, expected));
    const gradient = (dy: tf.Tensor, saved: readonly tf.Tensor[]) => [tf.mul(tf.expandDims(dy, -1), saved[0]!)];
    return { value: tf.squeeze(expected, [1]), saved: [slope], gradient };
  });
}

/** c of every token, see {@link TokenCost}. [rows, vocab] */
function costOf({ own, reference, teacher }: TokenCost, logProbs: tf.Tensor2D): tf.Tensor2D {
  let cost = tf.mul(logProbs, own);
  if (reference !== undefined) cost = tf.sub(cost, tf.mul(reference.logProbs, reference.coefficient));
  if (teacher !== undefined) {
    const delta = tf.clipByValue(tf.sub(teacher.logProbs, logProbs), -teacher.clip, teacher.clip);
    cost = tf.sub(cost, tf.mul(delta, tf.expandDims(teacher.weights, -1)));
  }
  return cost as tf.Tensor2D;
}
