import { addedToken, byteLevelTokenizer } from "../checkpoints/byte-level-tokenizer.js";
import { TRAINING_NAMES, USER_NAMES } from "../environments/homework/names.js";
import * as phrases from "../environments/homework/phrases.js";

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

/** What is said so often that it is one token whatever it consists of. */
const WHOLE = [
  '{"name": "calculator", "arguments": {"expression": "',
  '"}}',
  "The user's name is ",
  "The answer is ",
  ", the answer is ",
  "Your name is ",
  "Nice to meet you, ",
  "Plan: ",
  " mod ",
  " = ",
];

/**
 * `tokenizer.json` of the embedded policy: byte by byte, but for the domain's words and a few whole phrases. Numbers and names
 * are therefore always spelt out, which is what makes them easy to copy.
 */
export function buildTokenizer(): Readonly<Record<string, unknown>> {
  const words = [...WHOLE, ...domainWords()];
  const bytes = byteSymbols().map((symbol, byte) => [symbol, SPECIAL_TOKENS.length + byte] as const);
  return byteLevelTokenizer({
    addedTokens: [
      ...SPECIAL_TOKENS.map((content, id) => addedToken(content, id, true)),
      ...words.map((content, i) => addedToken(content, SPECIAL_TOKENS.length + bytes.length + i, false)),
    ],
    vocab: Object.fromEntries([...SPECIAL_TOKENS.map((content, id) => [content, id] as const), ...bytes]),
    merges: [],
  });
}

/** Words of the domain's phrases with the space before them, from two letters on; none that is part of a name. */
function domainWords(): readonly string[] {
  const { SMALL_TALK, FORMAT_REQUESTS, NAME_REQUESTS, TOOL_REQUESTS, fill: _, typed: __, ...lists } = phrases;
  const texts = [
    ...Object.values(lists).flat(),
    ...SMALL_TALK.flat(),
    ...[FORMAT_REQUESTS, NAME_REQUESTS, TOOL_REQUESTS].flatMap((requests) => Object.values(requests).flat()),
    "Again, please.",
  ];
  const words = new Set(texts.flatMap((text) => text.match(/ ?[A-Za-z']{2,}/g) ?? []));
  const names = [...TRAINING_NAMES, ...USER_NAMES].map((name) => ` ${name}`);
  return [...words].filter((word) => !names.some((name) => name.includes(word))).sort();
}

/** Printable stand-ins of the 256 bytes (GPT-2): bytes that print stand for themselves, the others for U+0100 onwards. */
function byteSymbols(): readonly string[] {
  const prints = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(prints(byte) ? byte : next++));
}
