import { AgentError, type Message, messageOf, type ToolDefinition } from "@afterstate/core";
import { Tokenizer } from "@huggingface/tokenizers";
import { tokenBytes } from "../grammar/token-bytes.js";
import { openChatTemplate } from "./chat-template.js";
import { exactPreTokenizer } from "./exact-pre-tokenizer.js";
import type { ToolCallFormat } from "./tool-call-format.js";

/** By default the library drops special tokens and spaces before punctuation. */
const EXACTLY = { skip_special_tokens: false, clean_up_tokenization_spaces: false };

/** Something of everything that a text may hold. */
const PROBE = "The 12 ducks' eggs,\n\t  Ärger 東京 🦆";

/** Text to token ids and back, with the chat protocol of a policy. */
export interface PolicyTokenizer {
  readonly vocabSize: number;
  /** Ends a response in what the policy learns from. */
  readonly endId: number;
  /** Each of them ends a response that is sampled. */
  readonly stopIds: ReadonlySet<number>;
  readonly format: ToolCallFormat;
  /** The prompt of a request, up to where the policy starts to write. */
  encodePrompt(messages: readonly Message[], tools: readonly ToolDefinition[]): readonly number[];
  /** A whole conversation, and which tokens the policy would have written (its responses and their ends). */
  encodeConversation(messages: readonly Message[]): {
    readonly ids: readonly number[];
    readonly mask: readonly number[];
  };
  /** The ids of a text; special tokens in it are read as such. */
  encode(text: string): readonly number[];
  /** What each token writes, see `tokenBytes`; worked out anew each time. */
  readonly bytes: ReadonlyMap<number, string>;
  /** The text of sampled ids up to the first that ends a response, other special tokens included as text. */
  decode(ids: readonly number[]): string;
}

/** The files of a Hugging Face folder that make a tokenizer. */
export interface TokenizerFiles {
  readonly tokenizer: object;
  readonly tokenizerConfig: {
    readonly chat_template: string;
    readonly eos_token: string;
    readonly bos_token?: string;
  };
  /** Tokens that end a response, beside `eos_token`. */
  readonly stopTokens?: readonly string[];
}

/** Opens `tokenizer.json` and the chat template of `tokenizer_config.json`. @throws AgentError `checkpoint/mismatch` or `checkpoint/corrupt`. */
export function openTokenizer({ tokenizer: json, tokenizerConfig, stopTokens = [] }: TokenizerFiles): PolicyTokenizer {
  const tokenizer = opened("tokenizer.json", () => {
    const { pre_tokenizer } = json as { readonly pre_tokenizer?: unknown };
    const made = new Tokenizer({ ...json, pre_tokenizer: exactPreTokenizer(pre_tokenizer) }, tokenizerConfig);
    // The library finds out only here what it cannot do.
    const { ids } = made.encode(PROBE, { add_special_tokens: false });
    if (ids.some((id: number) => made.id_to_token(id) === undefined)) throw new Error("it gives ids that no token has");
    if (typeof made.decode(ids, EXACTLY) !== "string") throw new Error("it gives no text");
    return made;
  });
  const idOf = (token: string): number => {
    const id = tokenizer.token_to_id(token);
    if (id !== undefined) return id;
    throw new AgentError(
      "checkpoint/mismatch",
      `the tokenizer has no token "${token}", which its configuration names as an end`,
    );
  };
  const endId = idOf(tokenizerConfig.eos_token);
  const stopIds = new Set([endId, ...stopTokens.map(idOf)]);
  const ids = [...tokenizer.get_vocab().values()];
  const added = [...tokenizer.get_added_tokens_decoder().values()];
  const specials = added.flatMap(({ special, content }) => (special ? [content] : []));
  const encode = (text: string): readonly number[] => tokenizer.encode(text, { add_special_tokens: false }).ids;
  const { format, render } = opened("the chat template", () => openChatTemplate(tokenizerConfig, specials));

  return {
    vocabSize: ids.reduce((most, id) => Math.max(most, id), -1) + 1,
    endId,
    stopIds,
    format,
    get bytes() {
      return tokenBytes(json, tokenizer.get_vocab(true), new Set(tokenizer.get_added_tokens_decoder().keys()));
    },
    encode,
    encodePrompt: (messages, tools) => encode(render(messages, tools, true)),
    encodeConversation(messages) {
      const ids: number[] = [];
      const mask: number[] = [];
      const add = (text: string, own: 0 | 1) => {
        const encoded = encode(text);
        ids.push(...encoded);
        mask.push(...encoded.map(() => own));
      };
      let done = 0;
      messages.forEach(({ role }, index) => {
        const text = render(messages.slice(0, index + 1), [], false);
        if (role === "assistant") {
          const start = render(messages.slice(0, index), [], true).length;
          add(text.slice(done, start), 0);
          done = start;
        }
        add(text.slice(done), role === "assistant" ? 1 : 0);
        done = text.length;
      });
      return { ids, mask };
    },
    decode(ids) {
      const end = ids.findIndex((id) => stopIds.has(id));
      // Some embedding tables have rows that no token names.
      const named = (end === -1 ? ids : ids.slice(0, end)).filter((id) => tokenizer.id_to_token(id) !== undefined);
      return named.length === 0 ? "" : tokenizer.decode(named, EXACTLY);
    },
  };
}

/** Runs a library's constructor over a model's file. */
function opened<T>(what: string, open: () => T): T {
  try {
    return open();
  } catch (cause) {
    throw new AgentError("checkpoint/corrupt", `${what} cannot be read: ${messageOf(cause)}; use an intact copy`, {
      cause,
    });
  }
}
