/** The underline that stands for a space. */
const SPACE = "▁";

/**
 * A SentencePiece BPE vocabulary as the parts of a tokenizer.json. SentencePiece merges the pair whose result has the best score; the same
 * order as a list of merges: every way to put a piece together from two others, by falling score of the piece.
 *
 * @param spacePrefix a space goes before each text.
 */
export function sentencePieceModel(
  { tokens, scores }: { readonly tokens: readonly string[]; readonly scores: readonly number[] },
  spacePrefix: boolean,
): object {
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const merges: {
    readonly pair: readonly [string, string];
    readonly score: number;
    readonly ids: readonly [number, number];
  }[] = [];
  tokens.forEach((token, id) => {
    const letters = Array.from(token);
    let left = "";
    for (const letter of letters.slice(0, -1)) {
      left += letter;
      const right = token.slice(left.length);
      const [leftId, rightId] = [ids.get(left), ids.get(right)];
      if (leftId !== undefined && rightId !== undefined) {
        merges.push({ pair: [left, right], score: scores[id]!, ids: [leftId, rightId] });
      }
    }
  });
  merges.sort((a, b) => b.score - a.score || a.ids[0] - b.ids[0] || a.ids[1] - b.ids[1]);
  const toUnderline = { type: "Replace", pattern: { String: " " }, content: SPACE };
  const toSpace = { type: "Replace", pattern: { String: SPACE }, content: " " };
  const decoders = [toSpace, { type: "ByteFallback" }, { type: "Fuse" }];
  return {
    normalizer: {
      type: "Sequence",
      normalizers: [...(spacePrefix ? [{ type: "Prepend", prepend: SPACE }] : []), toUnderline],
    },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: "Sequence",
      decoders: spacePrefix ? [...decoders, { type: "Strip", content: " ", start: 1, stop: 0 }] : decoders,
    },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: "<unk>",
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(ids),
      merges: merges.map(({ pair }) => pair),
    },
  };
}
