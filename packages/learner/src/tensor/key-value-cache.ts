import * as tf from "@tensorflow/tfjs";
import { type FusedOperations, fusedOperations, type LayerCache } from "./fused-operations.js";
import { attentionProbabilities } from "./ops.js";
import {
  type Attend,
  causalAttention,
  causalMask,
  headDimOf,
  headsFirst,
  headsLast,
  MASKED,
  type TransformerConfig,
} from "./transformer.js";

/** Keys and values of rows that are being sampled. Owns its tensors. */
export interface KeyValueCache {
  /** Attention of the prompts, padded on the right, on themselves; their keys and values are kept. First, and once. */
  prompts(): Attend;
  /** Attention of each row's next token on all that came before it. @param positions its place in its row. [rows] */
  next(positions: readonly number[]): Attend;
  /** Goes on with some of the rows alone, by their places. */
  keep(rows: readonly number[]): void;
  dispose(): void;
}

/**
 * Opens a cache.
 *
 * @param lengths of the prompts. [rows]
 * @param capacity positions that a row may come to.
 */
export function openCache(config: TransformerConfig, lengths: readonly number[], capacity: number): KeyValueCache {
  const fused = fusedOperations();
  return fused === undefined ? growingCache(config, lengths) : fixedCache(config, lengths, capacity, fused);
}

/** Each row's keys lie in one piece from its first position on; a pad of a prompt is overwritten by the first sampled token. */
function fixedCache(
  config: TransformerConfig,
  lengths: readonly number[],
  capacity: number,
  fused: FusedOperations,
): KeyValueCache {
  const scale = 1 / Math.sqrt(headDimOf(config));
  const shape: [number, number, number, number] = [
    lengths.length,
    Math.max(capacity, ...lengths),
    config.num_key_value_heads,
    headDimOf(config),
  ];
  const empty = () => tf.fill(shape, 0) as tf.Tensor4D;
  let layers: readonly LayerCache[] = Array.from({ length: config.num_hidden_layers }, () => ({
    keys: empty(),
    values: empty(),
  }));
  return {
    prompts() {
      const attend = causalAttention(config, Math.max(...lengths));
      const start = tf.zeros([lengths.length], "int32") as tf.Tensor1D;
      return (layer, heads) => {
        fused.appendToCache(layers[layer]!, heads, start);
        return attend(layer, heads);
      };
    },
    next(positions) {
      const at = tf.tensor1d([...positions], "int32");
      return (layer, heads) => {
        fused.appendToCache(layers[layer]!, heads, at);
        return fused.cachedAttention(heads.queries, layers[layer]!, at, scale);
      };
    },
    keep(rows) {
      const kept = tf.tensor1d([...rows], "int32");
      layers = layers.map(({ keys, values }) => ({ keys: takeRows(keys, kept), values: takeRows(values, kept) }));
      kept.dispose();
    },
    dispose: () => tf.dispose(layers.flatMap(({ keys, values }) => [keys, values])),
  };
}

/**
 * Two parts: the prompts, never touched again, and the sampled tokens, which grow by one column a step. Heads first, each key-value head
 * once for each of its query heads.
 */
function growingCache(config: TransformerConfig, lengths: readonly number[]): KeyValueCache {
  const scale = 1 / Math.sqrt(headDimOf(config));
  const seq = Math.max(...lengths);
  let prompt: LayerCache[] = [];
  let sampled: LayerCache[] = [];
  const padding = new Float32Array(lengths.length * seq);
  lengths.forEach((length, row) => padding.fill(MASKED, row * seq + length, (row + 1) * seq));
  let mask: tf.Tensor4D = tf.tensor4d(padding, [lengths.length, 1, 1, seq]);
  const kept = (x: tf.Tensor4D) => tf.keep(tf.clone(x));
  return {
    prompts() {
      const causal = causalMask(seq);
      return (layer, heads) => {
        const { queries, keys, values } = headsFirst(heads, config);
        prompt[layer] = { keys: kept(keys), values: kept(values) };
        const scores = tf.matMul(queries, keys, false, true) as tf.Tensor4D;
        return headsLast(tf.matMul(attentionProbabilities(scores, causal, scale), values));
      };
    },
    next() {
      return (layer, heads) => {
        const { queries, keys, values } = headsFirst(heads, config);
        const before = sampled[layer];
        const grow = (old: tf.Tensor4D | undefined, column: tf.Tensor4D) =>
          old === undefined ? kept(column) : (tf.keep(tf.concat([old, column], 2)) as tf.Tensor4D);
        const grown = { keys: grow(before?.keys, keys), values: grow(before?.values, values) };
        tf.dispose([before?.keys, before?.values].filter((tensor) => tensor !== undefined));
        sampled[layer] = grown;
        const sizes = [prompt[layer]!.keys.shape[2], grown.keys.shape[2]];
        const onPrompt = tf.add(tf.matMul(queries, prompt[layer]!.keys, false, true), mask);
        const onSampled = tf.matMul(queries, grown.keys, false, true);
        const scores = tf.concat([onPrompt, onSampled], -1) as tf.Tensor4D; // [rows, heads, 1, promptSeq + sampledSeq]
        const parts = tf.split(attentionProbabilities(scores, tf.scalar(0), scale), sizes, -1);
        return headsLast(tf.add(tf.matMul(parts[0]!, prompt[layer]!.values), tf.matMul(parts[1]!, grown.values)));
      };
    },
    keep(rows) {
      const indices = tf.tensor1d([...rows], "int32");
      const take = ({ keys, values }: LayerCache) => ({
        keys: takeRows(keys, indices),
        values: takeRows(values, indices),
      });
      [prompt, sampled, mask] = [prompt.map(take), sampled.map(take), takeRows(mask, indices)];
      indices.dispose();
    },
    dispose: () => tf.dispose([mask, ...[...prompt, ...sampled].flatMap(({ keys, values }) => [keys, values])]),
  };
}

/** Takes rows out of a tensor, and frees it. */
function takeRows<T extends tf.Tensor>(tensor: T, rows: tf.Tensor1D): T {
  const taken = tf.gather(tensor, rows) as T;
  tensor.dispose();
  return taken;
}
