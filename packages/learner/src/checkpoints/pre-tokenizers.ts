import { GPT2_WORDS, splitBy } from "../policy/exact-pre-tokenizer.js";

/** How a byte-level BPE tokenizer normalises and splits text before it merges, in the form of tokenizer.json. */
export interface PreTokenizer {
  readonly normalizer: object | null;
  readonly pre_tokenizer: object;
  /** A piece that is a whole token is taken as it is, without merging. */
  readonly ignore_merges: boolean;
}

const BYTE_LEVEL = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };

const byRegexes = (regexes: readonly string[], rest: Partial<PreTokenizer> = {}): PreTokenizer => ({
  normalizer: null,
  pre_tokenizer: { type: "Sequence", pretokenizers: [...regexes.map(splitBy), BYTE_LEVEL] },
  ignore_merges: false,
  ...rest,
});

const LLAMA3 = byRegexes(
  [
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  ],
  { ignore_merges: true },
);
const QWEN2 = byRegexes(
  [
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  ],
  { normalizer: { type: "NFC" } }, // as the model's own tokenizer; llama.cpp leaves it out
);
const GPT2 = byRegexes([GPT2_WORDS]);
/** Every numeral apart, then as GPT-2. */
const SMOLLM = byRegexes(["\\p{N}", GPT2_WORDS]);

/** By `tokenizer.ggml.pre`; the regular expressions are those of the models' own tokenizer.json. */
export const PRE_TOKENIZERS: ReadonlyMap<string, PreTokenizer> = new Map([
  ["llama-bpe", LLAMA3],
  ["llama-v3", LLAMA3],
  ["llama3", LLAMA3],
  ["qwen2", QWEN2],
  ["deepseek-r1-qwen", QWEN2],
  ["smollm", SMOLLM],
  ["gpt-2", GPT2],
]);
