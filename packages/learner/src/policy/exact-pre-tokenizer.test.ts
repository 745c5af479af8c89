import { Tokenizer } from "@huggingface/tokenizers";
import { describe, expect, it } from "vitest";
import { exactPreTokenizer, GPT2_WORDS, splitBy } from "./exact-pre-tokenizer.js";

/** The pieces of a text under a pre-tokenizer. */
function pieces(preTokenizer: unknown, text: string): readonly string[] {
  const json = {
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: exactPreTokenizer(preTokenizer),
    post_processor: null,
    decoder: null,
    model: { type: "BPE", vocab: {}, merges: [] },
  };
  const { pre_tokenizer } = new Tokenizer(json, {}) as unknown as {
    pre_tokenizer: { pre_tokenize_text(text: string, options: object): string[] };
  };
  return pre_tokenizer.pre_tokenize_text(text, {});
}

const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };

// The pieces are those of the Python package tokenizers 0.23.3.
describe("a pre-tokenizer as the original takes it", () => {
  it("sets every numeral apart, not the digits 0 to 9 alone", () => {
    expect(pieces({ type: "Digits", individual_digits: true }, "a½b12٣Ⅷ")).toEqual(["a", "½", "b", "1", "2", "٣", "Ⅷ"]);
    expect(pieces({ type: "Digits", individual_digits: false }, "a½b12٣c")).toEqual(["a", "½", "b", "12٣", "c"]);
  });

  it("finds GPT-2's words between the white space of Unicode, not of JavaScript", () => {
    const words = pieces(splitBy(GPT2_WORDS), "a\u0085\u0085b's x");
    expect(words).toEqual(["a", "\u0085", "\u0085", "b", "'s", " x"]);
  });

  it("leaves alone what is taken rightly", () => {
    for (const step of [
      { ...byteLevel, use_regex: false },
      { ...byteLevel, add_prefix_space: true },
      splitBy("a"),
      null,
    ]) {
      expect(exactPreTokenizer(step)).toEqual(step);
    }
    expect(exactPreTokenizer({ type: "Sequence", pretokenizers: [byteLevel] })).toEqual({
      type: "Sequence",
      pretokenizers: [{ type: "Sequence", pretokenizers: [splitBy(GPT2_WORDS), { ...byteLevel, use_regex: false }] }],
    });
  });
});
