import { type RopeScaling, YARN_TURNS, yarnAttentionFactor } from "../tensor/rotary-frequencies.js";
import type { TransformerConfig } from "../tensor/transformer.js";
import { assertConsistent, assertFamily, contextOf, familyOf, MAX_LAYERS } from "./architecture.js";
import { CheckpointError } from "./checkpoint-error.js";
import { type Fields, fieldsOf } from "./fields.js";

const ARCHITECTURES = { llama: "LlamaForCausalLM", qwen2: "Qwen2ForCausalLM", qwen3: "Qwen3ForCausalLM" } as const;

/** What Llama and Qwen models of transformers take where config.json is silent. */
const DEFAULT_CONTEXT = 2048;
const DEFAULT_ROPE_THETA = 10_000;
const DEFAULT_EPSILON = 1e-6;

/**
 * The architecture that a config.json describes.
 *
 * @throws CheckpointError `checkpoint/unsupported` for another family or an option that is not computed, `checkpoint/corrupt` for values that cannot be.
 */
export function configFromHuggingFace(file: string, json: Readonly<Record<string, unknown>>): TransformerConfig {
  const fields = fieldsOf(file, json);
  const family = fields.value("model_type");
  assertFamily(file, "model_type", family);
  fields.only("hidden_act", ["silu"]);
  fields.only("mlp_bias", [false]);
  fields.only("use_sliding_window", [false]);
  [fields.value("layer_types") ?? []].flat().forEach((type, layer) => {
    fieldsOf(file, { [layer]: type }, "layer_types.").only(`${layer}`, ["full_attention"]);
  });
  fields.only("partial_rotary_factor", [1]);
  fields.only("quantization_config", []);
  // Qwen2 has biases of queries, keys and values whatever the file says; in the others the option would add one to the output, too.
  if (family !== "qwen2") fields.only("attention_bias", [false]);
  const heads = fields.size("num_attention_heads");
  const hidden = fields.size("hidden_size");
  const headDim = fields.size("head_dim", { fallback: family === "qwen3" ? 128 : hidden / heads });
  const context = fields.size("max_position_embeddings", { fallback: DEFAULT_CONTEXT });
  const rope = readRope(file, fields, context);
  const config: TransformerConfig = {
    vocab_size: fields.size("vocab_size"),
    hidden_size: hidden,
    intermediate_size: fields.size("intermediate_size"),
    num_hidden_layers: fields.size("num_hidden_layers", { max: MAX_LAYERS }),
    num_attention_heads: heads,
    num_key_value_heads: fields.size("num_key_value_heads", { fallback: heads }),
    max_position_embeddings: contextOf(context, rope.scaling),
    rope_theta: rope.theta,
    rms_norm_eps: fields.positive("rms_norm_eps", DEFAULT_EPSILON),
    tie_word_embeddings: fields.flag("tie_word_embeddings", false),
    ...(headDim * heads === hidden ? {} : { head_dim: headDim }),
    ...(family === "qwen2" ? { attention_bias: true } : {}),
    ...(family === "qwen3" ? { qk_norm: true } : {}),
    ...(rope.scaling === undefined ? {} : { rope_scaling: rope.scaling }),
  };
  assertConsistent(file, config);
  return config;
}

/** `rope_theta` and `rope_scaling`; newer files hold both in `rope_parameters`. */
function readRope(
  file: string,
  fields: Fields,
  context: number,
): { readonly theta: number; readonly scaling?: RopeScaling } {
  const parameters = fields.value("rope_parameters") ?? fields.value("rope_scaling");
  if (parameters === undefined) return { theta: fields.positive("rope_theta", DEFAULT_ROPE_THETA) };
  const place = fields.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  if (typeof parameters !== "object" || parameters === null) {
    throw new CheckpointError("corrupt", { file, field: place, expected: "an object", found: typeof parameters });
  }
  const rope = fieldsOf(file, parameters as Record<string, unknown>, `${place}.`);
  const theta = rope.positive("rope_theta", fields.positive("rope_theta", DEFAULT_ROPE_THETA));
  const kind = rope.has("rope_type") ? "rope_type" : "type";
  rope.only(kind, ["default", "linear", "llama3", "yarn"]);
  switch (rope.text(kind)) {
    case "linear":
      return { theta, scaling: { rope_type: "linear", factor: rope.positive("factor") } };
    case "llama3":
      return {
        theta,
        scaling: {
          rope_type: "llama3",
          factor: rope.positive("factor"),
          low_freq_factor: rope.positive("low_freq_factor"),
          high_freq_factor: rope.positive("high_freq_factor"),
          original_max_position_embeddings: rope.size("original_max_position_embeddings"),
        },
      };
    case "yarn":
      return { theta, scaling: readYarn(rope, context) };
    default:
      return { theta };
  }
}

function readYarn(rope: Fields, context: number): RopeScaling {
  rope.only("truncate", [true]);
  const factor = rope.positive("factor");
  const scaled = (key: string) => yarnAttentionFactor(factor, rope.positive(key));
  const usual =
    rope.has("mscale") && rope.has("mscale_all_dim")
      ? scaled("mscale") / scaled("mscale_all_dim")
      : yarnAttentionFactor(factor);
  return {
    rope_type: "yarn",
    factor,
    original_max_position_embeddings: rope.size("original_max_position_embeddings", { fallback: context }),
    beta_fast: rope.positive("beta_fast", YARN_TURNS.beta_fast),
    beta_slow: rope.positive("beta_slow", YARN_TURNS.beta_slow),
    attention_factor: rope.positive("attention_factor", usual),
  };
}

/** A config.json that other tools read as the same architecture. */
export function configToHuggingFace(config: TransformerConfig): object {
  const family = familyOf(config);
  const { qk_norm: _, ...fields } = config;
  return { architectures: [ARCHITECTURES[family]], model_type: family, hidden_act: "silu", ...fields };
}
