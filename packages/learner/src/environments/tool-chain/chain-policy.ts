import { addedToken, byteLevelTokenizer } from "../../checkpoints/byte-level-tokenizer.js";
import type { PolicyFiles } from "../../checkpoints/policy-folder.js";
import type { TransformerConfig } from "../../tensor/transformer-config.js";

const [PAD, END, GO] = ["<|pad|>", "<|end|>", "<|go|>"];
/** All that observations and actions are written with, a token each. */
const SYMBOLS = [..."0123456789+-*=?sk"];
const SPECIAL = [PAD, END, GO] as const;

/** The files of a policy for tool chains, but for its weights: character by character, one observation in its context. */
export function chainPolicyFiles(): Omit<PolicyFiles, "weights"> {
  const vocab = Object.fromEntries([...SPECIAL, ...SYMBOLS].map((token, id) => [token, id]));
  const config: TransformerConfig = {
    vocab_size: SPECIAL.length + SYMBOLS.length,
    hidden_size: 64,
    intermediate_size: 176,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 4,
    max_position_embeddings: 64,
    rope_theta: 10_000,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
  };
  return {
    config,
    tokenizer: byteLevelTokenizer({
      addedTokens: SPECIAL.map((content, id) => addedToken(content, id, true)),
      vocab,
      merges: [],
    }),
    tokenizerConfig: {
      chat_template: `{%- for message in messages -%}{{ message.content }}{%- endfor -%}{%- if add_generation_prompt -%}${GO}{%- endif -%}`,
      eos_token: END,
    },
  };
}
