/** What cannot be shown to others, whoever else says it, and what it is called. */
const PERSONAL: readonly (readonly [kind: string, pattern: RegExp])[] = [
  ["an e-mail address", /[\p{L}\p{N}._%+-]+@[\p{L}\p{N}.-]+/u],
  ["a web address", /\b(?:https?:\/\/|www\.)\S+/i],
  ["a handle", /(?:^|\s)[@#][\p{L}\p{N}_]+/u],
  ["a number", /\p{N}/u],
];
/** Capitalised words inside a sentence that are no names. */
const NO_NAMES = new Set(
  `I English German French Spanish Italian Dutch Portuguese Chinese Japanese Markdown JSON HTML CSV PDF SI Celsius Fahrenheit
  Kelvin Latin Greek Roman Euro Euros OK`.split(/\s+/),
);

/**
 * What in a text may be personal: "a number", "a name", …; undefined for nothing. Names are words with a capital inside a sentence; a name
 * at its beginning is not seen here, which is why what is shared has to be said by several: see `sharedWording`.
 */
export function personalContent(text: string): string | undefined {
  for (const [kind, pattern] of PERSONAL) if (pattern.test(text)) return kind;
  const inside = text.split(/(?<=[.!?:])\s+/).flatMap((sentence) => sentence.match(/[\p{L}']+/gu)?.slice(1) ?? []);
  return inside.some((word) => /^\p{Lu}/u.test(word) && !NO_NAMES.has(word.replace(/'\p{L}*$/u, "")))
    ? "a name"
    : undefined;
}
