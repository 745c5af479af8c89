import type { Signal } from "@afterstate/core";
import { wordsOf } from "./clauses.js";

/** Hints that a step keeps (arXiv:2603.10165 keeps as many), and their length together. */
const MAX_HINTS = 3;
const MAX_CHARACTERS = 450;
const FILLER = /^(?:please|pls|plz|the|a|an|just|also|and|next|time|i|said|can|could|would|you)$/;

/**
 * The hints that a step is taught by: the most reliable first, none that says in other fillers or order what one before it says, none that
 * was found to do no good, and no more than a prompt should carry.
 */
export function chooseHints(signals: readonly Signal[]): readonly string[] {
  const chosen: string[] = [];
  const known = new Set<string>();
  let room = MAX_CHARACTERS;
  const hints = signals.filter((signal) => signal.kind === "hint");
  for (const { text, rejected } of hints.toSorted((a, b) => b.reliability - a.reliability)) {
    const meaning = meaningOf(text);
    if (rejected !== undefined || known.has(meaning) || text.length > room || chosen.length === MAX_HINTS) continue;
    known.add(meaning);
    chosen.push(text);
    room -= text.length;
  }
  return chosen;
}

/** The words that carry a text, in alphabetical order; all of them when all are fillers. */
function meaningOf(text: string): string {
  const words = wordsOf(text).split(" ");
  const carrying = words.filter((word) => !FILLER.test(word));
  return [...new Set(carrying.length > 0 ? carrying : words)].sort().join(" ");
}
