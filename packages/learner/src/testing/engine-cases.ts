import { createRandom } from "@afterstate/core";
import { initialWeights, learnedShapes, type TransformerConfig } from "../tensor/transformer-config.js";
import type { PolicyWeights } from "../types.js";
import { TINY_CONFIG } from "./tiny-config.js";

/** Every variant of the architecture that an engine computes, by name. */
export const ARCHITECTURES: Readonly<Record<string, TransformerConfig>> = {
  "a Llama with grouped queries": TINY_CONFIG,
  "a tied head": { ...TINY_CONFIG, tie_word_embeddings: true, num_key_value_heads: 4 },
  "a Qwen2 with biases": { ...TINY_CONFIG, attention_bias: true },
  "a Qwen3 with head norms and heads of its own width": {
    ...TINY_CONFIG,
    qk_norm: true,
    head_dim: 6,
    num_key_value_heads: 1,
    tie_word_embeddings: true,
  },
  "slowed rotary angles": {
    ...TINY_CONFIG,
    hidden_size: 24,
    rope_theta: 100,
    rope_scaling: {
      rope_type: "llama3",
      factor: 4,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 16,
    },
  },
  adapters: {
    ...TINY_CONFIG,
    attention_bias: true,
    tie_word_embeddings: true,
    lora: { r: 2, lora_alpha: 6, target_modules: ["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"] },
  },
};

/** The frozen weights of an architecture without its adapters, and those that learn, none of them at a value that hides mistakes. */
export function drawnWeights(
  config: TransformerConfig,
  seed: number,
): { readonly learned: PolicyWeights; readonly frozen: PolicyWeights | undefined } {
  const { lora: _, ...plain } = config;
  const random = createRandom(seed);
  const draw = (shape: readonly number[], scale: number, middle: number) => ({
    shape,
    data: Float32Array.from(
      { length: shape.reduce((product, size) => product * size, 1) },
      () => middle + scale * (random.next() - 0.5),
    ),
  });
  const base = new Map(
    [...initialWeights(plain, seed)].map(([name, { shape }]) => [
      name,
      name.endsWith("norm.weight") ? draw(shape, 1, 1) : draw(shape, 0.8, 0),
    ]),
  );
  if (config.lora === undefined) return { learned: base, frozen: undefined };
  const learned = new Map([...learnedShapes(config)].map(([name, shape]) => [name, draw(shape, 0.8, 0)]));
  return { learned, frozen: base };
}
