import { AgentError, createRandom } from "@afterstate/core";
import type { PolicyWeights, WeightArray } from "../types.js";
import { type LoraConfig, loraShapes } from "./lora-config.js";
import type { RopeScaling } from "./rotary-frequencies.js";

/** The shape of a decoder-only transformer of the Llama and Qwen families. Names are those of Hugging Face's `config.json`. */
export interface TransformerConfig {
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly max_position_embeddings: number;
  readonly rope_theta: number;
  readonly rms_norm_eps: number;
  /** The output head is the embedding table. */
  readonly tie_word_embeddings: boolean;
  /** Width of one attention head, where it is not hidden_size ÷ num_attention_heads (Qwen3). */
  readonly head_dim?: number;
  /** Queries, keys and values have biases (Qwen2). */
  readonly attention_bias?: boolean;
  /** Queries and keys are normalised per head before they are rotated (Qwen3). No name of Hugging Face's: there it follows from model_type. */
  readonly qk_norm?: boolean;
  /** Rotary angles are slowed down, for contexts longer than those of the first training. */
  readonly rope_scaling?: RopeScaling;
  /** The matrices are frozen, and what is learned are adapters beside them. Hugging Face has it in a file of its own. */
  readonly lora?: LoraConfig;
}

/** Width of one attention head. */
export function headDimOf(config: TransformerConfig): number {
  return config.head_dim ?? config.hidden_size / config.num_attention_heads;
}

/** The name and shape of every weight of an architecture, in a fixed order. */
export function weightShapes(config: TransformerConfig): ReadonlyMap<string, readonly number[]> {
  const { vocab_size: vocab, hidden_size: hidden, intermediate_size: intermediate } = config;
  const headDim = headDimOf(config);
  const query = config.num_attention_heads * headDim;
  const keyValue = config.num_key_value_heads * headDim;
  const shapes = new Map<string, readonly number[]>([["model.embed_tokens.weight", [vocab, hidden]]]);
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const prefix = `model.layers.${layer}`;
    shapes.set(`${prefix}.input_layernorm.weight`, [hidden]);
    shapes.set(`${prefix}.self_attn.q_proj.weight`, [query, hidden]);
    shapes.set(`${prefix}.self_attn.k_proj.weight`, [keyValue, hidden]);
    shapes.set(`${prefix}.self_attn.v_proj.weight`, [keyValue, hidden]);
    if (config.attention_bias === true) {
      shapes.set(`${prefix}.self_attn.q_proj.bias`, [query]);
      shapes.set(`${prefix}.self_attn.k_proj.bias`, [keyValue]);
      shapes.set(`${prefix}.self_attn.v_proj.bias`, [keyValue]);
    }
    if (config.qk_norm === true) {
      shapes.set(`${prefix}.self_attn.q_norm.weight`, [headDim]);
      shapes.set(`${prefix}.self_attn.k_norm.weight`, [headDim]);
    }
    shapes.set(`${prefix}.self_attn.o_proj.weight`, [hidden, query]);
    shapes.set(`${prefix}.post_attention_layernorm.weight`, [hidden]);
    shapes.set(`${prefix}.mlp.gate_proj.weight`, [intermediate, hidden]);
    shapes.set(`${prefix}.mlp.up_proj.weight`, [intermediate, hidden]);
    shapes.set(`${prefix}.mlp.down_proj.weight`, [hidden, intermediate]);
  }
  shapes.set("model.norm.weight", [hidden]);
  if (!config.tie_word_embeddings) shapes.set("lm_head.weight", [vocab, hidden]);
  return shapes;
}

/** New weights: norms 1, biases 0, matrices normal with σ = 0.02, those that write to the residual stream ÷ √(2 layers) (GPT-2). */
export function initialWeights(config: TransformerConfig, seed: number): PolicyWeights {
  const random = createRandom(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
  const weights = new Map<string, WeightArray>();
  for (const [name, shape] of weightShapes(config)) {
    const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
    const writesResidual = name.includes("o_proj") || name.includes("down_proj");
    const sigma = writesResidual ? 0.02 / Math.sqrt(2 * config.num_hidden_layers) : 0.02;
    if (name.endsWith("norm.weight")) data.fill(1);
    else if (shape.length > 1) for (let i = 0; i < data.length; i++) data[i] = normal() * sigma;
    weights.set(name, { shape, data });
  }
  return weights;
}

/** The weights that learn, and of which versions are made: the adapters where there are any, else all. */
export function learnedShapes(config: TransformerConfig): ReadonlyMap<string, readonly number[]> {
  return config.lora === undefined ? weightShapes(config) : loraShapes(weightShapes(config), config.lora);
}

/** @throws AgentError `checkpoint/mismatch` when a weight is missing, surplus or of another shape. */
export function assertWeightsFit(
  config: TransformerConfig,
  weights: PolicyWeights,
  shapes = weightShapes(config),
): void {
  const fail = (what: string) => {
    throw new AgentError("checkpoint/mismatch", `the weights do not fit the architecture: ${what}`);
  };
  for (const [name, shape] of shapes) {
    const weight = weights.get(name);
    if (weight === undefined) fail(`"${name}" is missing`);
    else if (weight.shape.join() !== shape.join()) {
      fail(`"${name}" has shape [${weight.shape.join(", ")}], expected [${shape.join(", ")}]`);
    }
  }
  for (const name of weights.keys()) if (!shapes.has(name)) fail(`"${name}" is not part of it`);
}
