import * as phrases from "../environments/homework/phrases.js";
import { trainBytePairEncoding } from "./byte-pair-encoding.js";

/** The special tokens of the embedded policy; their place is their id. */
export const SPECIAL_TOKENS = [
  "<|pad|>",
  "<|end|>",
  "<|system|>",
  "<|user|>",
  "<|assistant|>",
  "<|tool|>",
  "<tool_call>",
  "</tool_call>",
] as const;

/** The chat template of the embedded policy: a role, the content, tool calls in the Hermes form, an end. */
export const CHAT_TEMPLATE = [
  "{%- for message in messages -%}",
  "<|{{ message.role }}|>{{ message.content }}",
  "{%- for call in message.tool_calls or [] -%}",
  "<tool_call>{{ call.function | tojson }}</tool_call>",
  "{%- endfor -%}",
  "<|end|>",
  "{%- endfor -%}",
  "{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}",
].join("");

/** `tokenizer.json` of the embedded policy: bytes, digits one by one, and merges learned from the domain's phrases. */
export function buildTokenizer(vocabSize: number): Readonly<Record<string, unknown>> {
  const { vocab, merges } = trainBytePairEncoding(phraseTexts(), SPECIAL_TOKENS.length, vocabSize);
  const special = Object.fromEntries(SPECIAL_TOKENS.map((content, id) => [content, id]));
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: SPECIAL_TOKENS.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Digits", individual_digits: true },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    post_processor: null,
    decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      vocab: { ...special, ...vocab },
      merges,
    },
  };
}

/** Everything fixed that is ever said, cut where a sum or a name goes; repeated, so that whole phrases merge, the commonest first. */
function phraseTexts(): readonly string[] {
  const { QUESTIONS, GAME_QUESTIONS, INTRODUCTIONS, FORMAT_REQUESTS, NAME_REQUESTS, TOOL_REQUESTS } = phrases;
  const { REJECTIONS, ACCEPTANCES, WELCOMES, SMALL_TALK, NAME_QUESTIONS } = phrases;
  const requests = [FORMAT_REQUESTS, NAME_REQUESTS, TOOL_REQUESTS].flatMap((group) => Object.values(group).flat());
  const frequent = [
    '{"name": "calculator", "arguments": {"expression": "{}"}}',
    "The answer is {}.",
    "{}, the answer is {}.",
    "The user's name is {}.",
    "Your name is {}.",
    "Nice to meet you, {}.",
    "Plan: {}",
    "{} mod {}",
    "{} = {}.",
    "Again, please.",
  ];
  const said = [
    ...QUESTIONS,
    ...GAME_QUESTIONS,
    ...INTRODUCTIONS,
    ...requests,
    ...REJECTIONS,
    ...ACCEPTANCES,
    ...WELCOMES,
  ];
  const repeat = (texts: readonly string[], times: number) =>
    texts
      .flatMap((text) => text.split(/\{\}|\d+/))
      .flatMap((text) => (text.length > 1 ? Array<string>(times).fill(text) : []));
  return [...repeat(frequent, 12), ...repeat(said, 2), ...repeat([...NAME_QUESTIONS, ...SMALL_TALK.flat()], 2)];
}
