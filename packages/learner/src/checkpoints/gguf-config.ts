import { type RopeScaling, rotaryFrequencies, YARN_TURNS, yarnAttentionFactor } from "../tensor/rotary-frequencies.js";
import { headDimOf, type TransformerConfig } from "../tensor/transformer.js";
import { assertConsistent, assertFamily, contextOf, MAX_LAYERS } from "./architecture.js";
import { CheckpointError } from "./checkpoint-error.js";
import { type Fields, fieldsOf } from "./fields.js";
import type { GgufHeader } from "./gguf-header.js";

/** What llama.cpp takes where the metadata are silent. */
const DEFAULT_ROPE_THETA = 10_000;

/**
 * The architecture that GGUF metadata describe.
 *
 * @param ropeFactors the tensor `rope_freqs.weight` where there is one: what each frequency is divided by. [headDim / 2]
 * @throws CheckpointError as {@link configFromHuggingFace}.
 */
export function configFromGguf(file: string, header: GgufHeader, ropeFactors?: Float32Array): TransformerConfig {
  const { metadata, tensors } = header;
  const family = metadata.get("general.architecture");
  assertFamily(file, "general.architecture", family);
  const fields = fieldsOf(file, Object.fromEntries(metadata));
  const key = (name: string) => `${family}.${name}`;
  fields.only(key("expert_count"), [0]);
  fields.only(key("rope.scale_linear"), [1]); // the name that old files give to it
  fields.only(key("attention.sliding_window"), [0]);
  const heads = fields.size(key("attention.head_count"));
  const hidden = fields.size(key("embedding_length"));
  const headDim = fields.size(key("attention.key_length"), { fallback: hidden / heads });
  fields.only(key("attention.value_length"), [headDim]);
  fields.only(key("rope.dimension_count"), [headDim]);
  const context = fields.size(key("context_length"));
  const scaling = readScaling(fields, family, context);
  const config: TransformerConfig = {
    vocab_size: tensors.get("token_embd.weight")?.shape[0] ?? fields.size(key("vocab_size")),
    hidden_size: hidden,
    intermediate_size: fields.size(key("feed_forward_length")),
    num_hidden_layers: fields.size(key("block_count"), { max: MAX_LAYERS }),
    num_attention_heads: heads,
    num_key_value_heads: fields.size(key("attention.head_count_kv"), { fallback: heads }),
    max_position_embeddings: contextOf(context, scaling),
    rope_theta: fields.positive(key("rope.freq_base"), DEFAULT_ROPE_THETA),
    rms_norm_eps: shortest(fields.positive(key("attention.layer_norm_rms_epsilon"))),
    tie_word_embeddings: !tensors.has("output.weight"),
    ...(headDim * heads === hidden ? {} : { head_dim: headDim }),
    ...(family === "qwen2" ? { attention_bias: true } : {}),
    ...(family === "qwen3" ? { qk_norm: true } : {}),
    ...(scaling === undefined ? {} : { rope_scaling: scaling }),
  };
  assertConsistent(file, config);
  return ropeFactors === undefined ? config : { ...config, rope_scaling: llama3Scaling(file, config, ropeFactors) };
}

function readScaling(fields: Fields, family: string, context: number): RopeScaling | undefined {
  const key = (name: string) => `${family}.rope.scaling.${name}`;
  fields.only(key("type"), ["none", "linear", "yarn"]);
  fields.only(key("attn_factor"), [1]);
  switch (fields.text(key("type"))) {
    case "linear":
      return { rope_type: "linear", factor: fields.positive(key("factor")) };
    case "yarn": {
      const factor = fields.positive(key("factor"));
      fields.only(key("yarn_ext_factor"), [1]);
      fields.only(key("yarn_attn_factor"), [1]);
      fields.only(key("yarn_log_multiplier"), [0]);
      return {
        rope_type: "yarn",
        factor,
        original_max_position_embeddings: fields.size(key("original_context_length"), { fallback: context }),
        beta_fast: fields.positive(key("yarn_beta_fast"), YARN_TURNS.beta_fast),
        beta_slow: fields.positive(key("yarn_beta_slow"), YARN_TURNS.beta_slow),
        attention_factor: yarnAttentionFactor(factor),
      };
    }
    default:
      return undefined;
  }
}

/** The decimal that a float32 was written for: 9.999999747378752e-6 → 0.00001. */
function shortest(value: number): number {
  return Number(value.toPrecision(7));
}

/** Numbers that all Llama 3.1 to 3.3 models share. */
const LLAMA3 = { rope_type: "llama3", low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };

/**
 * The scaling that a `rope_freqs.weight` was computed from: GGUF keeps only its results, the largest of which is the factor.
 *
 * @throws CheckpointError `checkpoint/unsupported` when Llama 3's scaling does not give these results.
 */
function llama3Scaling(file: string, config: TransformerConfig, factors: Float32Array): RopeScaling {
  const headDim = headDimOf(config);
  const scaling = { ...LLAMA3, factor: factors.reduce((most, factor) => Math.max(most, factor), 1) } as RopeScaling;
  const plain = rotaryFrequencies(config.rope_theta, headDim);
  const slow = rotaryFrequencies(config.rope_theta, headDim, scaling);
  const agrees = factors.every((factor, j) => Math.abs((factor * slow[j]!) / plain[j]! - 1) < 1e-4);
  if (factors.length === plain.length && agrees) return scaling;
  throw new CheckpointError("unsupported", {
    file,
    tensor: "rope_freqs.weight",
    expected: `${plain.length} divisors of Llama 3's scaling`,
    found: `${factors.length} others`,
  });
}
