import { mixSeed } from "@afterstate/core";
import { readClauses } from "../signals/clauses.js";
import { isFor, isOwn, type LearnedText, type TextState } from "./learned-text-state.js";
import { relevance } from "./relevance.js";
import { contradicts, isSameWish, matterFirst, termsOf, type Wish, wishesOf } from "./wish.js";

/** At most so much is said to the model besides. */
export const MOST_TEXTS = 3;
export const MOST_CHARACTERS = 300;

/** What an episode is to see. */
export interface ChosenTexts {
  /** Undefined for nothing. */
  readonly guidance: string | undefined;
  /** Candidates that the episode is a trial of, and whether it sees them; each with probability ½. */
  readonly trials: readonly { readonly text: LearnedText; readonly shown: boolean }[];
}

/**
 * The few texts that fit a request: the user's own before those for everyone, each by how well it fits and then the newest. A text for
 * everyone gives way to what the user wants, any text to what the request itself says, and a skill is for requests that share a word with
 * its `when`.
 *
 * @param trialSeed decides which candidates are shown; undefined shows none and tries none.
 */
export function chooseTexts(
  state: TextState,
  request: { readonly userId: string | undefined; readonly prompt: string; readonly trialSeed: number | undefined },
): ChosenTexts {
  const { userId, prompt, trialSeed } = request;
  const asked = termsOf(prompt);
  const saidNow = readClauses(prompt)
    .filter(({ kind }) => kind === "instruction")
    .flatMap(({ text }) => wishesOf(text));
  const possible = state.texts.filter(
    (text) =>
      text.state === (trialSeed === undefined ? "active" : text.state) &&
      text.state !== "retired" &&
      isFor(text, userId),
  );
  const scores = relevance(
    asked,
    possible.map((text) => termsOf(`${text.when ?? ""} ${text.text}`)),
  );
  const ranked = possible
    .map((text, index) => ({ text, score: scores[index]! }))
    .filter(({ text }) => fits(text, asked))
    .toSorted(
      (a, b) =>
        Number(isOwn(b.text, userId)) - Number(isOwn(a.text, userId)) ||
        b.score - a.score ||
        b.text.confirmed - a.text.confirmed,
    );
  const taken: Wish[] = [...saidNow];
  let count = 0;
  const shown: LearnedText[] = [];
  const trials: { text: LearnedText; shown: boolean }[] = [];
  let length = 0;
  for (const { text } of ranked) {
    const longer = length + text.text.length + (count > 0 ? 1 : 0);
    if (count === MOST_TEXTS || longer > MOST_CHARACTERS) continue;
    if (taken.some((other) => isSameWish(other, text) || contradicts(other, text))) continue;
    // What is held back keeps its place, so that nothing else differs between the two halves.
    taken.push(text);
    length = longer;
    count++;
    const isTrial = text.state === "candidate";
    const isShown = !isTrial || mixSeed(trialSeed!, text.id) % 2 === 0;
    if (isTrial) trials.push({ text, shown: isShown });
    if (isShown) shown.push(text);
  }
  return { guidance: shown.length > 0 ? matterFirst(shown).join(" ") : undefined, trials };
}

function fits({ when }: LearnedText, asked: readonly string[]): boolean {
  const words = termsOf(when ?? "");
  return words.length === 0 || words.some((word) => asked.includes(word));
}
