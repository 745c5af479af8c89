import type { TransformerConfig } from "../tensor/transformer.js";

/** An architecture small enough for tests, with grouped-query attention. */
export const TINY_CONFIG: TransformerConfig = {
  vocab_size: 11,
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 32,
  rope_theta: 10_000,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: false,
};
