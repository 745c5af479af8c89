import { GPT2_WORDS, splitBy } from "../policy/exact-pre-tokenizer.js";
import { BYTE_LEVEL, type ByteLevelTokenizer } from "./byte-level-tokenizer.js";

/** How a byte-level BPE tokenizer normalises and splits text before it merges. */
export type PreTokenizer = Pick<ByteLevelTokenizer, "normalizer" | "preTokenizer" | "ignoreMerges">;

const byRegexes = (regexes: readonly string[], rest: Partial<PreTokenizer> = {}): PreTokenizer => ({
  preTokenizer: { type: "Sequence", pretokenizers: [...regexes.map(splitBy), BYTE_LEVEL] },
  ...rest,
});

const LLAMA3 = byRegexes(
  [
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  ],
  { ignoreMerges: true },
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
