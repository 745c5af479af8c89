/** What a user said that concerns memory. A slot is what is said of the user, e.g. "favourite colour"; it holds one value at a time. */
export type Statement =
  | { readonly kind: "fact"; readonly slot?: string; readonly text: string }
  /** The fact, should it be known, holds no longer. */
  | { readonly kind: "denial"; readonly slot: string; readonly text: string }
  | { readonly kind: "forget-slot"; readonly slot: string }
  | { readonly kind: "forget-text"; readonly text: string }
  | { readonly kind: "forget-everything" };

/** The name of a slot: lower case, in one spelling. */
export function slotName(words: string): string {
  return words
    .toLowerCase()
    .replace(/’/gu, "'")
    .replace(/\bfavorite\b/gu, "favourite")
    .replace(/\bcolor\b/gu, "colour")
    .replace(/\s+/gu, " ")
    .trim();
}

/** A text without case, marks and double spaces: what two tellings of one fact have in common. */
export function sameness(text: string): string {
  return slotName(text)
    .replace(/[^\p{L}\p{N}'+#@./-]+/gu, " ")
    .replace(/[.'"]+$/u, "")
    .trim();
}
