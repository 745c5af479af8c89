import { FILLER, MATTERS_OF_TASTE, SYNONYMS, TOPICS } from "./wish-words.js";

/** One thing that somebody wants of the answers to come. */
export interface Wish {
  /** In the user's own words: one sentence. */
  readonly text: string;
  /** See `TOPICS`; "other" for none of them. */
  readonly topic: string;
  /** What it comes down to: words without filler, synonyms folded, those that are not wanted with a minus. */
  readonly terms: readonly string[];
}

const NEGATION =
  /\b(?:don'?t|do not|never|no|not|without|stop|skip|omit|avoid|drop|leave (?:out|off|away)|remove|less|no need)\b/;
const REPROACH = /^you (?:never|did ?n[o']t|did not|forgot|forget|left|missed|skipped|always forget|keep forgetting)\b/;
/** What is to be done once, now, is no wish for the time to come. */
const ONCE = /\b(?:again|once more|redo|re-?check)\b/;

/** The wishes in a hint: one a sentence. */
export function wishesOf(hint: string): readonly Wish[] {
  return hint.split(/(?<=[.!?])\s+/).flatMap((text) => {
    const words = wordsIn(text).join(" ");
    return words === "" || ONCE.test(words) ? [] : [toWish(text)];
  });
}

/** Whether two wishes come to the same: one topic, nothing opposed, and more than half of the shorter one's terms shared. */
export function isSameWish(a: Wish, b: Wish): boolean {
  if (a.topic !== b.topic || areOpposed(a, b)) return false;
  const shared = a.terms.filter((term) => b.terms.includes(term)).length;
  const fewer = Math.min(a.terms.length, b.terms.length);
  return fewer === 0 ? a.text.toLowerCase() === b.text.toLowerCase() : shared / fewer > 0.5;
}

/** Whether one answer cannot satisfy both: one wants what the other does not, or they want unlike things of one topic. */
export function contradicts(a: Wish, b: Wish): boolean {
  if (a.topic !== b.topic) return false;
  return areOpposed(a, b) || (a.topic !== "other" && !isSameWish(a, b));
}

/** The texts of wishes as they are best said: how to get at the answer before how to put it; otherwise in their order. */
export function matterFirst(wishes: readonly Pick<Wish, "text" | "topic">[]): readonly string[] {
  return wishes
    .toSorted((a, b) => Number(MATTERS_OF_TASTE.has(a.topic)) - Number(MATTERS_OF_TASTE.has(b.topic)))
    .map(({ text }) => text);
}

/** The words of a text that can be searched for or compared: lower case, singular, synonyms folded, without filler. */
export function termsOf(text: string): readonly string[] {
  return [
    ...new Set(
      wordsIn(text)
        .filter((word) => !FILLER.has(word))
        .map(folded),
    ),
  ];
}

function toWish(text: string): Wish {
  const terms: string[] = [];
  for (const part of text.toLowerCase().replaceAll("’", "'").split(/[,;:]/)) {
    const unwanted = NEGATION.test(part) && !REPROACH.test(part.trim());
    for (const term of termsOf(part)) terms.push(unwanted ? `-${term}` : term);
  }
  return { text, topic: topicOf(terms), terms: [...new Set(terms)] };
}

function topicOf(terms: readonly string[]): string {
  const plain = terms.map((term) => term.replace(/^-/, ""));
  let [best, most] = ["other", 0];
  for (const [topic, words] of TOPICS) {
    const found = plain.filter((term) => words.has(term)).length;
    if (found > most) [best, most] = [topic, found];
  }
  return best;
}

/** Whether a term of one is not wanted by the other. */
function areOpposed(a: Wish, b: Wish): boolean {
  const opposite = (term: string) => (term.startsWith("-") ? term.slice(1) : `-${term}`);
  return a.terms.some((term) => b.terms.includes(opposite(term)));
}

function wordsIn(text: string): readonly string[] {
  return (
    text
      .normalize("NFKC")
      .toLowerCase()
      .replaceAll("’", "'")
      .match(/[\p{L}\p{N}]+(?:'[\p{L}]+)?/gu) ?? []
  );
}

function folded(word: string): string {
  const singular = word.length > 3 && /[^su]s$/u.test(word) ? word.slice(0, -1) : word;
  return SYNONYMS.get(word) ?? SYNONYMS.get(singular) ?? singular;
}
