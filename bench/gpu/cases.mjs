// What bench/gpu/measure.mjs measures: shapes of models, and cases of training and decoding over them.

const SMOLLM2 = {
  vocab_size: 49_152,
  hidden_size: 576,
  intermediate_size: 1536,
  num_hidden_layers: 30,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  max_position_embeddings: 8192,
  rope_theta: 100_000,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
};
const TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

/** Architectures. Their weights are drawn where they are measured. */
export const SHAPES = {
  "3.3M": {
    config: {
      ...SMOLLM2,
      vocab_size: 512,
      hidden_size: 256,
      intermediate_size: 704,
      num_hidden_layers: 4,
      num_attention_heads: 8,
      num_key_value_heads: 8,
    },
  },
  "SmolLM2-135M LoRA": { config: { ...SMOLLM2, lora: { r: 16, lora_alpha: 32, target_modules: TARGETS } } },
};

/** `count` sequences of `tokens` tokens a training step, or `count` responses of `tokens` tokens side by side. */
export const CASES = Object.fromEntries(
  [
    ...[16, 64].map((count) => ({ shape: "3.3M", kind: "training", count, tokens: 128 })),
    ...[1, 4, 16].map((count) => ({ shape: "SmolLM2-135M LoRA", kind: "training", count, tokens: 512 })),
    ...[1, 16].map((count) => ({ shape: "3.3M", kind: "decoding", count, tokens: 64 })),
    ...[1, 16, 64].map((count) => ({ shape: "SmolLM2-135M LoRA", kind: "decoding", count, tokens: 64 })),
  ].map((one) => [`${one.shape}, ${one.kind}, ${one.count} × ${one.tokens}`, one]),
);

/** Token ids of a batch: the same as in torch_step.py. */
export function sequencesOf(config, count, tokens) {
  return Array.from({ length: count }, (_, row) => ({
    ids: Array.from({ length: tokens + 1 }, (_, t) => (row * 7 + t * 13) % config.vocab_size),
    mask: Array(tokens + 1).fill(1),
  }));
}
