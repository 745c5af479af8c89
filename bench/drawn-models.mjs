// Models that benches measure: architectures, weights drawn the same on every machine, and batches for them.
import * as tensor from "@afterstate/learner/tensor";

/** The architecture of SmolLM2-135M. */
export const SMOLLM2 = {
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

/** The same with adapters on every matrix of a layer. */
export const SMOLLM2_LORA = {
  ...SMOLLM2,
  lora: {
    r: 16,
    lora_alpha: 32,
    target_modules: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
  },
};

/** 3.3 million parameters. */
export const SMALL = {
  ...SMOLLM2,
  vocab_size: 512,
  hidden_size: 256,
  intermediate_size: 704,
  num_hidden_layers: 4,
  num_attention_heads: 8,
  num_key_value_heads: 8,
};

/** Weights of the usual size, made faster than normal ones. */
export function quickWeights(config) {
  return new Map(
    [...tensor.weightShapes(config)].map(([name, shape]) => {
      const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
      if (name.endsWith("norm.weight")) data.fill(1);
      else
        for (let i = 0, state = 1; i < data.length; i++) {
          state = (Math.imul(state, 1_103_515_245) + 12_345) | 0;
          data[i] = state * 2 ** -31 * 0.03;
        }
      return [name, { shape, data }];
    }),
  );
}

/** Token ids of a batch, the same as in speed/torch_step.py; every token counts. */
export function sequencesOf(config, count, tokens) {
  return Array.from({ length: count }, (_, row) => ({
    ids: Array.from({ length: tokens + 1 }, (_, t) => (row * 7 + t * 13) % config.vocab_size),
    mask: Array(tokens + 1).fill(1),
  }));
}
