/** What differs between byte-level BPE tokenizers. */
export interface ByteLevelTokenizer {
  readonly addedTokens: readonly object[];
  readonly normalizer?: object | null;
  /** How a text is split before it merges. Default: not at all. */
  readonly preTokenizer?: object;
  readonly vocab: Readonly<Record<string, number>>;
  /** Pairs with a space between, the first ones first. */
  readonly merges: readonly string[];
  /** A piece that is a whole token is taken as it is, without merging. */
  readonly ignoreMerges?: boolean;
}

/** Bytes as printable symbols, without splitting. */
export const BYTE_LEVEL = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false } as const;

/** The `tokenizer.json` of a byte-level BPE tokenizer. */
export function byteLevelTokenizer(tokenizer: ByteLevelTokenizer): Readonly<Record<string, unknown>> {
  const { addedTokens, normalizer = null, preTokenizer = BYTE_LEVEL, vocab, merges, ignoreMerges } = tokenizer;
  return {
    ...tokenizerHead(addedTokens),
    normalizer,
    pre_tokenizer: preTokenizer,
    post_processor: null,
    decoder: BYTE_LEVEL,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ...(ignoreMerges === true ? { ignore_merges: true } : {}),
      vocab,
      merges,
    },
  };
}

/** What begins every `tokenizer.json`. */
export function tokenizerHead(addedTokens: readonly object[]): Readonly<Record<string, unknown>> {
  return { version: "1.0", truncation: null, padding: null, added_tokens: addedTokens };
}

/** A token that stands for itself in a text and is never merged, as `tokenizer.json` lists it. */
export function addedToken(content: string, id: number, special: boolean): object {
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special };
}
