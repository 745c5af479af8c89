/** How GPT-2 finds words: what `use_regex` of a ByteLevel pre-tokenizer stands for. */
export const GPT2_WORDS = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/** A split of tokenizer.json: every match and everything between is a piece of its own. */
export const splitBy = (regex: string): object => ({
  type: "Split",
  pattern: { Regex: regex },
  behavior: "Isolated",
  invert: false,
});

/**
 * A pre-tokenizer of tokenizer.json in steps that the JavaScript engine takes as the original does. Its own `Digits` knows the digits 0–9 alone,
 * where the original knows every numeral of Unicode, and its own words of `ByteLevel` know the white space of JavaScript.
 */
export function exactPreTokenizer(preTokenizer: unknown): unknown {
  if (typeof preTokenizer !== "object" || preTokenizer === null || !("type" in preTokenizer)) return preTokenizer;
  const step = preTokenizer as Readonly<Record<string, unknown>>;
  switch (step.type) {
    case "Sequence":
      return Array.isArray(step.pretokenizers)
        ? { ...step, pretokenizers: step.pretokenizers.map(exactPreTokenizer) }
        : step;
    case "Digits":
      return splitBy(step.individual_digits === true ? "\\p{N}" : "\\p{N}+");
    case "ByteLevel":
      // With a space put before the text the words would come first and the space too late.
      return step.use_regex === false || step.add_prefix_space !== false
        ? step
        : { type: "Sequence", pretokenizers: [splitBy(GPT2_WORDS), { ...step, use_regex: false }] };
    default:
      return step;
  }
}
