import { loraName } from "../tensor/lora-config.js";
import { headDimOf, type TransformerConfig } from "../tensor/transformer-config.js";
import type { Placed, PlacedWeights } from "./weights.js";

/** A linear map y = x Wᵀ + b, with the adapter beside it where there is one. W [outputs, inputs] */
export interface Linear {
  readonly inputs: number;
  readonly outputs: number;
  readonly weight: Placed;
  /** [outputs] */
  readonly bias?: Placed;
  readonly adapter?: Adapter;
}

/** What an adapter adds: Δy = s (x Aᵀ) Bᵀ, s = α / r. A [rank, inputs], B [outputs, rank] */
export interface Adapter {
  readonly rank: number;
  readonly scale: number;
  readonly a: Placed;
  readonly b: Placed;
}

/** One layer of the transformer. */
export interface Layer {
  readonly inputNorm: Placed;
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
  /** RMS norms of each head, where the architecture has them. [headDim] */
  readonly queryNorm?: Placed;
  readonly keyNorm?: Placed;
  readonly output: Linear;
  readonly middleNorm: Placed;
  readonly gate: Linear;
  readonly up: Linear;
  readonly down: Linear;
}

/** A transformer over placed weights: what tensor/transformer.ts computes, as data. */
export interface Model {
  readonly config: TransformerConfig;
  readonly hidden: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headDim: number;
  readonly intermediate: number;
  readonly vocab: number;
  /** [vocab, hidden] */
  readonly embedding: Placed;
  readonly layers: readonly Layer[];
  readonly norm: Placed;
  /** [vocab, hidden]; the embedding itself where they are tied. */
  readonly head: Placed;
}

/** Names the parts of a transformer. The weights fit the configuration: see `assertWeightsFit`. */
export function modelOf(config: TransformerConfig, weights: PlacedWeights): Model {
  const headDim = headDimOf(config);
  const [heads, keyValueHeads] = [config.num_attention_heads, config.num_key_value_heads];
  const [hidden, intermediate] = [config.hidden_size, config.intermediate_size];
  const weight = (name: string): Placed => weights.get(name)!;
  const linear = (module: string, outputs: number, inputs: number): Linear => {
    const bias = weights.get(`${module}.bias`);
    const [a, b] = [weights.get(loraName(module, "A")), weights.get(loraName(module, "B"))];
    const { lora } = config;
    return {
      inputs,
      outputs,
      weight: weight(`${module}.weight`),
      ...(bias !== undefined && { bias }),
      ...(lora !== undefined &&
        a !== undefined &&
        b !== undefined && { adapter: { rank: lora.r, scale: lora.lora_alpha / lora.r, a, b } }),
    };
  };
  const layers = Array.from({ length: config.num_hidden_layers }, (_, index): Layer => {
    const prefix = `model.layers.${index}`;
    return {
      inputNorm: weight(`${prefix}.input_layernorm.weight`),
      query: linear(`${prefix}.self_attn.q_proj`, heads * headDim, hidden),
      key: linear(`${prefix}.self_attn.k_proj`, keyValueHeads * headDim, hidden),
      value: linear(`${prefix}.self_attn.v_proj`, keyValueHeads * headDim, hidden),
      ...(config.qk_norm === true && {
        queryNorm: weight(`${prefix}.self_attn.q_norm.weight`),
        keyNorm: weight(`${prefix}.self_attn.k_norm.weight`),
      }),
      output: linear(`${prefix}.self_attn.o_proj`, hidden, heads * headDim),
      middleNorm: weight(`${prefix}.post_attention_layernorm.weight`),
      gate: linear(`${prefix}.mlp.gate_proj`, intermediate, hidden),
      up: linear(`${prefix}.mlp.up_proj`, intermediate, hidden),
      down: linear(`${prefix}.mlp.down_proj`, hidden, intermediate),
    };
  });
  const embedding = weight("model.embed_tokens.weight");
  return {
    config,
    hidden,
    heads,
    keyValueHeads,
    headDim,
    intermediate,
    vocab: config.vocab_size,
    embedding,
    layers,
    norm: weight("model.norm.weight"),
    head: config.tie_word_embeddings ? embedding : weight("lm_head.weight"),
  };
}
