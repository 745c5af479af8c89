import { type Clause, readClauses, wordsOf } from "./clauses.js";
import { BLAME, DOUBT, FOLLOW_UP, VERDICT_WORDS } from "./lexicon.js";

const STATES_VALUE =
  /\b(?:it|that|this|(?:the )?(?:correct |right |real |actual |true )?(?:answer|result|solution|total|value|sum))(?:'s| is|s| was| should be| should have been| must be| has to be| equals| =|'s actually| is actually)? (?:actually |really |supposed to be )?(.+)$|^(?:i|we) (?:get|got|make it|have|calculated|count|think it'?s|believe it'?s|think it is|would say) (.+)$|^(?:isn'?t|wasn'?t|shouldn'?t|isnt|wasnt) (?:it|that|the answer)(?: be)? (.+)$/;
const OUGHT = /\b(?:should be|should have been|should say|was supposed to|were supposed to|ought to be)\b/;
const I_MEANT =
  /^i (?:meant|asked for|asked about|asked you|wanted|said|told you|was asking|am asking)\b|\b(?:you mean|didn'?t ask)\b/;
const REDO =
  /\b(?:try|do (?:it|that|this)|check|think|count|calculate|look|read (?:it|that)) (?:it |that )?again\b|\bonce more\b|\bredo\b|\bre-?check\b/;
const NUMBER_WORDS: readonly string[] =
  `zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
  nineteen`.split(/\s+/);
const TENS: readonly string[] = "twenty thirty forty fifty sixty seventy eighty ninety".split(" ");

/**
 * Whether the user corrects the response or asks again (−1), agrees with its value or moves on to another question
 * without complaint (+1). Undefined when the reply does none of it.
 */
export function readCorrection(request: string, response: string, reply: string): -1 | 1 | undefined {
  const clauses = readClauses(reply);
  const refused = clauses.some(({ words }) => /^(?:no+|nope|nah|not)\b/.test(words));
  let agreed = false;
  let movedOn = false;
  let complained = false;
  for (const clause of clauses) {
    const stance = correctsValue(clause, response, refused);
    if (stance === -1 || REDO.test(clause.words)) return -1;
    if (I_MEANT.test(clause.words) && clause.kind !== "task") return -1;
    if (stance === 1) agreed = true;
    if (clause.kind === "instruction" || isComplaint(clause)) complained = true;
    if ((clause.kind === "question" || clause.kind === "task") && !FOLLOW_UP.test(clause.words)) {
      if (asksTheSame(request, clause.words)) return -1;
      movedOn = true;
    }
  }
  if (complained) return undefined;
  return agreed || movedOn ? 1 : undefined;
}

/** The numbers in a text, written in digits or, up to ninety-nine, in words. */
export function numbersIn(text: string): readonly number[] {
  const numbers: number[] = [];
  for (const [token] of text.toLowerCase().matchAll(/\d[\d,]*(?:\.\d+)?|[a-z]+(?:-[a-z]+)?/g)) {
    const value = /^\d/.test(token) ? Number(token.replaceAll(",", "")) : numberWord(token);
    if (value !== undefined && Number.isFinite(value)) numbers.push(value);
  }
  return numbers;
}

function correctsValue({ kind, words, text }: Clause, response: string, refused: boolean): -1 | 1 | undefined {
  if (kind === "instruction" || kind === "task") return undefined;
  const said = new Set(numbersIn(response));
  const heard = ` ${wordsOf(response)} `;
  if (OUGHT.test(words) && kind !== "question") return -1;
  const negated = /\bnot (?:the |an? |in |on |at |for )?([\p{L}\d'-]+)/u.exec(words)?.[1];
  if (negated && !VERDICT_WORDS.has(negated) && heard.includes(` ${negated} `)) return -1;
  const found = STATES_VALUE.exec(words);
  const value = found && (found[1] ?? found[2] ?? found[3]);
  const isAsked =
    kind === "question" &&
    found?.[3] === undefined &&
    /^(?:(?:and|so|but) )?(?:is|was|are|does|did|do|will|can) /.test(words);
  if (value && !isAsked) {
    const [number] = numbersIn(value);
    if (number !== undefined && said.size > 0) return said.has(number) ? 1 : -1;
    const named = /\b(?:[Ii]t|[Tt]hat|answer)\b.*?\b\p{Lu}\p{L}+/u.test(text) || refused || found[3] !== undefined;
    const tokens = value.split(" ");
    if (named && tokens.length <= 3 && !tokens.every((token) => VERDICT_WORDS.has(token)))
      return tokens.some((token) => token.length > 2 && heard.includes(` ${token} `)) ? undefined : -1;
  }
  if (kind === "statement" && /^[\d.,]+$/.test(words) && said.size > 0)
    return said.has(numbersIn(words)[0] ?? Number.NaN) ? 1 : -1;
  return undefined;
}

function isComplaint({ kind, words }: Clause): boolean {
  if (kind === "question") return DOUBT.test(words);
  return kind !== "task" && (BLAME.some((pattern) => pattern.test(words)) || /^(?:no+|nope|nah)\b/.test(words));
}

/** Jaccard similarity of the two questions' words of at least .6, with the same numbers. */
function asksTheSame(request: string, words: string): boolean {
  const first = contentWords(wordsOf(request));
  const second = contentWords(words);
  const numbers = (tokens: ReadonlySet<string>) =>
    [...tokens]
      .filter((token) => /\d/.test(token))
      .sort()
      .join(" ");
  if (numbers(first) !== numbers(second)) return false;
  const shared = [...second].filter((token) => first.has(token)).length;
  const union = first.size + second.size - shared;
  return union > 0 && shared / union >= 0.6;
}

function contentWords(words: string): ReadonlySet<string> {
  const filler = /^(?:the|a|an|is|are|what|what's|whats|of|to|for|me|please|in|and|so|then|again|do|does)$/;
  const joined = words.replace(/(?<=\d)\s*([-+*/x×÷^])\s*(?=\d)/g, "$1");
  return new Set(joined.split(/[\s?]+/).filter((token) => token !== "" && !filler.test(token)));
}

function numberWord(token: string): number | undefined {
  const small = NUMBER_WORDS.indexOf(token);
  if (small >= 0) return small;
  const [tens, unit] = token.split("-");
  const ten = TENS.indexOf(tens!);
  if (ten < 0) return undefined;
  return 20 + 10 * ten + (unit ? Math.max(0, NUMBER_WORDS.indexOf(unit)) : 0);
}
