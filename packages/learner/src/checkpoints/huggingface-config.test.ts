import { describe, expect, it } from "vitest";
import { configFromHuggingFace, configToHuggingFace } from "./huggingface-config.js";

/** What the published config.json of these models say, as far as it matters. */
const PUBLISHED = {
  "SmolLM2-135M-Instruct": {
    model_type: "llama",
    attention_bias: false,
    hidden_act: "silu",
    hidden_size: 576,
    intermediate_size: 1536,
    max_position_embeddings: 8192,
    mlp_bias: false,
    num_attention_heads: 9,
    num_hidden_layers: 30,
    num_key_value_heads: 3,
    rms_norm_eps: 1e-5,
    rope_scaling: null,
    rope_theta: 100_000,
    tie_word_embeddings: true,
    vocab_size: 49_152,
  },
  "Llama-3.2-1B-Instruct": {
    model_type: "llama",
    attention_bias: false,
    head_dim: 64,
    hidden_act: "silu",
    hidden_size: 2048,
    intermediate_size: 8192,
    max_position_embeddings: 131_072,
    mlp_bias: false,
    num_attention_heads: 32,
    num_hidden_layers: 16,
    num_key_value_heads: 8,
    rms_norm_eps: 1e-5,
    rope_scaling: {
      factor: 32,
      high_freq_factor: 4,
      low_freq_factor: 1,
      original_max_position_embeddings: 8192,
      rope_type: "llama3",
    },
    rope_theta: 500_000,
    tie_word_embeddings: true,
    vocab_size: 128_256,
  },
  "Qwen2.5-0.5B-Instruct": {
    model_type: "qwen2",
    hidden_act: "silu",
    hidden_size: 896,
    intermediate_size: 4864,
    max_position_embeddings: 32_768,
    num_attention_heads: 14,
    num_hidden_layers: 24,
    num_key_value_heads: 2,
    rms_norm_eps: 1e-6,
    rope_theta: 1_000_000,
    sliding_window: 32_768,
    tie_word_embeddings: true,
    use_sliding_window: false,
    vocab_size: 151_936,
  },
  "Qwen3-0.6B": {
    model_type: "qwen3",
    attention_bias: false,
    head_dim: 128,
    hidden_act: "silu",
    hidden_size: 1024,
    intermediate_size: 3072,
    max_position_embeddings: 40_960,
    num_attention_heads: 16,
    num_hidden_layers: 28,
    num_key_value_heads: 8,
    rms_norm_eps: 1e-6,
    rope_scaling: null,
    rope_theta: 1_000_000,
    sliding_window: null,
    tie_word_embeddings: true,
    use_sliding_window: false,
    vocab_size: 151_936,
  },
};
const read = (json: Readonly<Record<string, unknown>>) => configFromHuggingFace("config.json", json);

describe("config.json", () => {
  it.each(Object.entries(PUBLISHED))("of %s is read, and read again as it is written", (_, json) => {
    const config = read(json);
    expect(config).toMatchObject({ hidden_size: json.hidden_size, rope_theta: json.rope_theta });
    expect(read(configToHuggingFace(config) as Record<string, unknown>)).toEqual(config);
    expect(configToHuggingFace(config)).toMatchObject({ model_type: json.model_type });
  });

  it("means biases in Qwen2, head norms in Qwen3 and slower angles in Llama 3", () => {
    expect(read(PUBLISHED["Qwen2.5-0.5B-Instruct"])).toMatchObject({ attention_bias: true });
    expect(read(PUBLISHED["Qwen3-0.6B"])).toMatchObject({ qk_norm: true, head_dim: 128 });
    const llama = read(PUBLISHED["Llama-3.2-1B-Instruct"]);
    expect(llama.rope_scaling).toEqual(PUBLISHED["Llama-3.2-1B-Instruct"].rope_scaling);
    expect(llama).not.toHaveProperty("head_dim"); // 64 = 2048 / 32
  });

  it("means YaRN's own numbers where it is silent, and the context that they stretch to", () => {
    const { sliding_window, ...qwen } = PUBLISHED["Qwen2.5-0.5B-Instruct"];
    const read4 = read({
      ...qwen,
      rope_scaling: { type: "yarn", factor: 4, original_max_position_embeddings: 32_768 },
    });
    expect(read4.rope_scaling).toEqual({
      rope_type: "yarn",
      factor: 4,
      original_max_position_embeddings: 32_768,
      beta_fast: 32,
      beta_slow: 1,
      attention_factor: 0.1 * Math.log(4) + 1,
    });
    expect(read4.max_position_embeddings).toBe(131_072);
    expect(read(configToHuggingFace(read4) as Record<string, unknown>)).toEqual(read4);
    const weighed = read({
      ...qwen,
      rope_scaling: { type: "yarn", factor: Math.E ** 10, mscale: 1, mscale_all_dim: 0.5 },
    });
    // (0.1 · 10 + 1) / (0.1 · 0.5 · 10 + 1) = 2 / 1.5
    expect(weighed.rope_scaling).toMatchObject({
      attention_factor: expect.closeTo(4 / 3, 12),
      original_max_position_embeddings: 32_768,
    });
  });

  it("may hold the rotary numbers in one place, as newer files do", () => {
    const { rope_theta, rope_scaling, ...rest } = PUBLISHED["Llama-3.2-1B-Instruct"];
    expect(read({ ...rest, rope_parameters: { ...rope_scaling, rope_theta } })).toEqual(
      read({ ...rest, rope_theta, rope_scaling }),
    );
    expect(read({ ...rest, rope_parameters: { rope_type: "default", rope_theta } })).toEqual(
      read({ ...rest, rope_theta }),
    );
  });

  it.each<[string, object, RegExp]>([
    [
      "another family",
      { model_type: "gemma3" },
      /"model_type": expected an architecture among llama, qwen2, qwen3, found "gemma3"/,
    ],
    ["another activation", { hidden_act: "gelu" }, /"hidden_act": expected "silu", found "gelu"/],
    [
      "another rotary scaling",
      { rope_scaling: { rope_type: "longrope", factor: 4 } },
      /"rope_scaling.rope_type".* found "longrope"/,
    ],
    [
      "YaRN without a factor",
      { rope_scaling: { rope_type: "yarn" } },
      /"rope_scaling.factor": expected a number above 0/,
    ],
    [
      "YaRN between pairs",
      { rope_scaling: { rope_type: "yarn", factor: 4, truncate: false } },
      /"rope_scaling.truncate": expected true, found false/,
    ],
    [
      "layers with a sliding window",
      { layer_types: ["full_attention", "sliding_attention"] },
      /"layer_types.1": expected "full_attention", found "sliding_attention"/,
    ],
    ["biases of the output", { attention_bias: true }, /"attention_bias": expected false, found true/],
    ["biases of the feed-forward layer", { mlp_bias: true }, /"mlp_bias"/],
    ["sliding windows", { use_sliding_window: true }, /"use_sliding_window"/],
    ["quantised weights", { quantization_config: { bits: 4 } }, /"quantization_config"/],
    ["a missing size", { hidden_size: undefined }, /"hidden_size": expected a whole number .* found nothing/],
    ["a size that is text", { vocab_size: "49152" }, /"vocab_size": expected a whole number .* found "49152"/],
    ["too many layers", { num_hidden_layers: 1e9 }, /"num_hidden_layers": expected a whole number from 1 to 1024/],
    [
      "heads that cannot be shared",
      { num_key_value_heads: 2 },
      /"num_key_value_heads": expected a divisor of 9, found 2/,
    ],
  ])("is refused for %s", (_, change, message) => {
    expect(() => read({ ...PUBLISHED["SmolLM2-135M-Instruct"], ...change })).toThrow(message);
  });
});
