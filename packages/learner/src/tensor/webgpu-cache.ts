import type * as tf from "@tensorflow/tfjs";
import type { LayerCache } from "./fused-operations.js";
import { ELEMENT_THREADS, groupsOf, type Kernel, REDUCTIONS, ROW_THREADS } from "./webgpu-kernel.js";
import { runTensors } from "./webgpu-operation.js";

/* Decoding over a key-value cache of a fixed size: keys and values are written where they belong, and nothing is moved or made anew. */

const append: Kernel = {
  name: "append-to-cache",
  inputs: { keys: "f32", values: "f32", positions: "i32" },
  outputs: { cached_keys: "f32", cached_values: "f32" },
  numbers: { size: "u32", seq: "u32", width: "u32", capacity: "u32" },
  threads: ELEMENT_THREADS,
  code: `
    fn kernel(group: u32, thread: u32) {
      let i = group * ${ELEMENT_THREADS}u + thread;
      if (i >= numbers.size) { return; }
      let row = i / numbers.width / numbers.seq;
      let place = u32(positions[row]) + i / numbers.width % numbers.seq;
      let at = (row * numbers.capacity + place) * numbers.width + i % numbers.width;
      cached_keys[at] = keys[i];
      cached_values[at] = values[i];
    }`,
};

/**
 * A workgroup has one head of one row. It takes as many keys at once as it has threads, each thread one score, and then each thread adds up
 * some of the head's numbers over them; the softmax is online, as in webgpu-attention.ts.
 */
const attend = (headDim: number): Kernel => {
  const own = Math.ceil(headDim / ROW_THREADS);
  return {
    name: `cached-attention-${headDim}`,
    inputs: { queries: "f32", cached_keys: "f32", cached_values: "f32", positions: "i32" },
    outputs: { mixed: "f32" },
    numbers: { heads: "u32", kvHeads: "u32", capacity: "u32", scale: "f32" },
    threads: ROW_THREADS,
    code: `${REDUCTIONS}
      var<workgroup> weights: array<f32, ${ROW_THREADS}>;
      var<workgroup> shared_length: u32;
      fn kernel(group: u32, thread: u32) {
        let row = group / numbers.heads;
        let kv_head = group % numbers.heads / (numbers.heads / numbers.kvHeads);
        let cache = (row * numbers.capacity * numbers.kvHeads + kv_head) * ${headDim}u;
        let stride = numbers.kvHeads * ${headDim}u;
        if (thread == 0u) { shared_length = u32(positions[row]) + 1u; }
        let length = workgroupUniformLoad(&shared_length);
        var sums: array<f32, ${own}>;
        var top = -3.0e38;
        var weight = 0.0;
        for (var first = 0u; first < length; first += ${ROW_THREADS}u) {
          let key = first + thread;
          var score = -3.0e38;
          if (key < length) {
            score = 0.0;
            for (var d = 0u; d < ${headDim}u; d++) {
              score += queries[group * ${headDim}u + d] * cached_keys[cache + key * stride + d];
            }
            score *= numbers.scale;
          }
          let most = max(top, largest(thread, score));
          let shrink = exp(top - most);
          top = most;
          let p = select(0.0, exp(score - most), key < length);
          weights[thread] = p;
          weight = weight * shrink + total(thread, p);
          for (var n = 0u; n < ${own}u; n++) {
            let d = n * ${ROW_THREADS}u + thread;
            if (d >= ${headDim}u) { break; }
            var sum = sums[n] * shrink;
            for (var j = 0u; j < min(${ROW_THREADS}u, length - first); j++) {
              sum += weights[j] * cached_values[cache + (first + j) * stride + d];
            }
            sums[n] = sum;
          }
        }
        for (var n = 0u; n < ${own}u; n++) {
          let d = n * ${ROW_THREADS}u + thread;
          if (d < ${headDim}u) { mixed[group * ${headDim}u + d] = sums[n] / weight; }
        }
      }`,
  };
};

/**
 * Writes keys and values [rows, seq, kvHeads, headDim] into a cache, from `positions` on.
 *
 * @param positions int32. [rows]
 */
export function appendToCache(cache: LayerCache, { keys, values }: LayerCache, positions: tf.Tensor1D): void {
  const [, seq, kvHeads, headDim] = keys.shape;
  runTensors(append, {
    inputs: [keys, values, positions],
    outputs: [cache.keys, cache.values],
    numbers: { size: keys.size, seq, width: kvHeads * headDim, capacity: cache.keys.shape[1] },
    groups: groupsOf(keys.size),
  });
}

/** Attention of one query a row on the keys up to its position. @param queries [rows, 1, heads, headDim] */
export function cachedAttention(
  queries: tf.Tensor4D,
  { keys, values }: LayerCache,
  positions: tf.Tensor1D,
  scale: number,
): tf.Tensor4D {
  const [rows, , heads, headDim] = queries.shape;
  const numbers = { heads, kvHeads: keys.shape[2], capacity: keys.shape[1], scale };
  const call = { inputs: [queries, keys, values, positions], outputs: [queries.shape], numbers, groups: rows * heads };
  return runTensors(attend(headDim), call)[0] as tf.Tensor4D;
}
