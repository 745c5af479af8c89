import * as tf from "@tensorflow/tfjs";
import type { PolicyWeights } from "../types.js";
import { fusedOperations } from "./fused-operations.js";
import { adapted } from "./lora.js";
import { attentionProbabilities, embed, type RotaryAngles, rmsNorm, rotary, swiglu } from "./ops.js";
import { rotaryFrequencies, rotaryMagnitude } from "./rotary-frequencies.js";
import { headDimOf, type TransformerConfig } from "./transformer-config.js";

export * from "./transformer-config.js";

/** Weights on the tensor backend, by Hugging Face name. The holder disposes them. */
export type Parameters = ReadonlyMap<string, tf.Tensor>;

/** Puts weights on the tensor backend. The caller disposes them. */
export function uploadWeights(weights: PolicyWeights): Parameters {
  return new Map(
    [...weights].map(([name, { shape, data }]) => [name, tf.tensor(unshared(data), [...shape], "float32")]),
  );
}

/** Native backends are not made for memory that threads share: WebGPU's ends the process. */
function unshared(data: Float32Array): Float32Array {
  return data.buffer instanceof SharedArrayBuffer ? Float32Array.from(data) : data;
}

/** Frees what {@link uploadWeights} made. */
export function disposeParameters(parameters: Parameters): void {
  for (const tensor of parameters.values()) tensor.dispose();
}

/** Queries [batch, seq, heads, headDim], keys and values [batch, seq, kvHeads, headDim] of one layer, rotated. */
export interface LayerHeads {
  readonly queries: tf.Tensor4D;
  readonly keys: tf.Tensor4D;
  readonly values: tf.Tensor4D;
}

/** Mixes values by attention; where a key-value cache comes in. @returns [batch, seq, heads, headDim] */
export type Attend = (layer: number, heads: LayerHeads) => tf.Tensor4D;

/**
 * The hidden state of every position, after the last norm.
 *
 * @param ids int32, row after row. [batch · seq]
 * @returns [batch · seq, hidden]
 */
export function hiddenStates(
  parameters: Parameters,
  config: TransformerConfig,
  ids: tf.Tensor1D,
  [batch, seq]: readonly [number, number],
  angles: RotaryAngles,
  attend: Attend,
): tf.Tensor2D {
  const weight = <T extends tf.Tensor>(name: string) => parameters.get(name) as T;
  const linear = (x: tf.Tensor2D, name: string): tf.Tensor2D => {
    const matrix = weight<tf.Tensor2D>(`${name}.weight`);
    const y = adapted(parameters, config.lora, x, matrix, name) ?? tf.matMul(x, matrix, false, true);
    const bias = parameters.get(`${name}.bias`);
    return bias === undefined ? y : tf.add(y, bias);
  };
  const headDim = headDimOf(config);
  const toHeads = (x: tf.Tensor2D, heads: number): tf.Tensor4D => tf.reshape(x, [batch, seq, heads, headDim]);
  /** RMS norm of each head, where the architecture has one. */
  const normalised = (x: tf.Tensor4D, name: string): tf.Tensor4D =>
    config.qk_norm === true
      ? tf.reshape(rmsNorm(tf.reshape(x, [-1, headDim]), weight(`${name}.weight`), config.rms_norm_eps), x.shape)
      : x;

  const attention = (x: tf.Tensor2D, layer: number): tf.Tensor2D => {
    const prefix = `model.layers.${layer}`;
    const a = rmsNorm(x, weight(`${prefix}.input_layernorm.weight`), config.rms_norm_eps);
    const q = toHeads(linear(a, `${prefix}.self_attn.q_proj`), config.num_attention_heads);
    const k = toHeads(linear(a, `${prefix}.self_attn.k_proj`), config.num_key_value_heads);
    const v = toHeads(linear(a, `${prefix}.self_attn.v_proj`), config.num_key_value_heads);
    const mixed = attend(layer, {
      queries: rotary(normalised(q, `${prefix}.self_attn.q_norm`), angles),
      keys: rotary(normalised(k, `${prefix}.self_attn.k_norm`), angles),
      values: v,
    });
    const joined = tf.reshape(mixed, [batch * seq, -1]) as tf.Tensor2D;
    return tf.add(x, linear(joined, `${prefix}.self_attn.o_proj`));
  };
  const feedForward = (x: tf.Tensor2D, layer: number): tf.Tensor2D => {
    const prefix = `model.layers.${layer}`;
    const m = rmsNorm(x, weight(`${prefix}.post_attention_layernorm.weight`), config.rms_norm_eps);
    const active = swiglu(linear(m, `${prefix}.mlp.gate_proj`), linear(m, `${prefix}.mlp.up_proj`));
    return tf.add(x, linear(active, `${prefix}.mlp.down_proj`));
  };

  let x: tf.Tensor2D = embed(ids, weight("model.embed_tokens.weight")); // [batch · seq, hidden]
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    // Tidied by halves: what no gradient needs is freed before the next half, not when all layers are done.
    x = tf.tidy(() => {
      const attended = tf.tidy(() => attention(x, layer));
      return tf.tidy(() => feedForward(attended, layer));
    });
  }
  return rmsNorm(x, weight("model.norm.weight"), config.rms_norm_eps);
}

/** Scores of the next token. @returns [rows, vocab] */
export function logitsOf(parameters: Parameters, config: TransformerConfig, hidden: tf.Tensor2D): tf.Tensor2D {
  const head = config.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight";
  return tf.matMul(hidden, parameters.get(head) as tf.Tensor2D, false, true);
}

/** Attention of a whole sequence on itself; a position sees itself and what came before. */
export function causalAttention(config: TransformerConfig, seq: number): Attend {
  const scale = 1 / Math.sqrt(headDimOf(config));
  const fused = fusedOperations();
  if (fused !== undefined) {
    return (_layer, { queries, keys, values }) => fused.causalAttention(queries, keys, values, scale);
  }
  const mask = causalMask(seq);
  return (_layer, heads) => {
    const { queries, keys, values } = headsFirst(heads, config);
    const scores = tf.matMul(queries, keys, false, true) as tf.Tensor4D;
    return headsLast(tf.matMul(attentionProbabilities(scores, mask, scale), values) as tf.Tensor4D);
  };
}

/** Heads as batched products take them, each key-value head once for each query head. All [batch, heads, seq, headDim]. */
export function headsFirst({ queries, keys, values }: LayerHeads, config: TransformerConfig): LayerHeads {
  const first = (x: tf.Tensor4D) => repeatHeads(tf.transpose(x, [0, 2, 1, 3]), config);
  return { queries: first(queries), keys: first(keys), values: first(values) };
}

/** [batch, heads, seq, headDim] → [batch, seq, heads, headDim]. */
export function headsLast(mixed: tf.Tensor4D): tf.Tensor4D {
  return tf.transpose(mixed, [0, 2, 1, 3]);
}

/** 0 on and below the diagonal, {@link MASKED} above. [1, 1, seq, seq] */
export function causalMask(seq: number): tf.Tensor4D {
  const data = new Float32Array(seq * seq);
  for (let row = 0; row < seq; row++) data.fill(MASKED, row * seq + row + 1, (row + 1) * seq);
  return tf.tensor4d(data, [1, 1, seq, seq]);
}

/** Added to a score that must not count. Finite, so that a row of nothing else stays a number. */
export const MASKED = -1e9;

/**
 * Angles of given positions: θ_j = position · ω_j, see {@link rotaryFrequencies}.
 *
 * @param positions row after row. [batch · seq]; batch is 1 when all rows share them.
 */
export function rotaryAngles(
  config: TransformerConfig,
  positions: ArrayLike<number>,
  [batch, seq]: readonly [number, number],
): RotaryAngles {
  const headDim = headDimOf(config);
  const half = headDim / 2;
  const frequencies = rotaryFrequencies(config.rope_theta, headDim, config.rope_scaling);
  const magnitude = rotaryMagnitude(config.rope_scaling);
  const cos = new Float32Array(batch * seq * headDim);
  const sin = new Float32Array(batch * seq * headDim);
  for (let i = 0; i < batch * seq; i++) {
    for (let j = 0; j < half; j++) {
      const angle = positions[i]! * frequencies[j]!;
      for (const at of [i * headDim + j, i * headDim + half + j]) {
        cos[at] = magnitude * Math.cos(angle);
        sin[at] = magnitude * Math.sin(angle);
      }
    }
  }
  const turn = new Float32Array(headDim * headDim);
  for (let j = 0; j < half; j++) {
    turn[(half + j) * headDim + j] = -1;
    turn[j * headDim + half + j] = 1;
  }
  const shape: [number, number, number, number] = [batch, seq, 1, headDim];
  return {
    cos: tf.tensor4d(cos, shape),
    sin: tf.tensor4d(sin, shape),
    turn: tf.tensor2d(turn, [headDim, headDim]),
  };
}

/** Grouped-query attention (arXiv:2305.13245): each key-value head serves heads ÷ kvHeads query heads. */
function repeatHeads(x: tf.Tensor4D, config: TransformerConfig): tf.Tensor4D {
  const [batch, heads, seq, headDim] = x.shape;
  if (heads === config.num_attention_heads) return x;
  const groups = config.num_attention_heads / heads;
  const spread = tf.tile(tf.reshape(x, [batch, heads, 1, seq * headDim]), [1, 1, groups, 1]); // tile has no gradient at rank 5
  return tf.reshape(spread, [batch, heads * groups, seq, headDim]) as tf.Tensor4D;
}
