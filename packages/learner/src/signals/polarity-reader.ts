import { readClauses } from "./clauses.js";
import { BARE_NO, BLAME, BLAMING_SIGN, DOUBT, NOT_BLAME, PRAISE, THANKS } from "./lexicon.js";

/**
 * The polarity of a user's reply: −1 when it blames, +1 when it praises or thanks, undefined when it does neither.
 * Blame outweighs praise, praise before a "but" or beside a wish does not count, and a bare "no" counts unless praise follows it.
 */
export function readPolarity(reply: string): -1 | 1 | undefined {
  if (BLAMING_SIGN.test(reply)) return -1;
  const clauses = readClauses(reply);
  const wishes = clauses.some(({ kind }) => kind === "instruction");
  const lastContrast = clauses.findLastIndex(({ contrast }) => contrast);
  let praised = false;
  let refused = false;
  for (const [index, { kind, words, text }] of clauses.entries()) {
    if (kind === "question" && DOUBT.test(words)) return -1;
    if (kind === "question" || kind === "task" || kind === "instruction") continue;
    const excused = words.replace(NOT_BLAME, (found) => (/^(?:i |i'm|my |don|wrong of)/.test(found) ? " " : "good"));
    const read = [excused.trim(), ...text.matchAll(/\p{Extended_Pictographic}/gu)].join(" ");
    if (BARE_NO.test(read)) refused = true;
    if (BLAME.some((pattern) => pattern.test(read))) return -1;
    if (index < lastContrast) continue;
    if (THANKS.test(read) || PRAISE.some((pattern) => pattern.test(read))) praised = true;
  }
  if (praised) return wishes ? undefined : 1;
  return refused ? -1 : undefined;
}
