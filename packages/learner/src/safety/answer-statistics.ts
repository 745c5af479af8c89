import type { JudgedEpisode, JudgedStep } from "../online/judged-episode.js";
import { COST } from "../signals/weigh-signals.js";

/** What the answers of a batch were like, and what was said of them, in numbers. */
export interface AnswerStatistics {
  /** Of the episodes that said anything; undefined when none did. */
  readonly reward?: number;
  /** Mean words of an answer. */
  readonly words?: number;
  /** Mean share of the answers' trigrams of words that came before in the same answer, 0–1. */
  readonly repetition?: number;
  /** User replies, and those of them that ask the same again. */
  readonly replies: number;
  readonly reasks: number;
  /** Steps that were judged from more than one side, and those on which the sides differ in sign. */
  readonly compared: number;
  readonly conflicts: number;
}

/** Reads them off judged episodes. */
export function answerStatistics(episodes: readonly JudgedEpisode[]): AnswerStatistics {
  const steps = episodes.flatMap((episode) => episode.steps);
  const rewards = steps.flatMap(({ evidence, reward }) => (evidence && reward !== undefined ? [reward] : []));
  const answers = steps.flatMap(({ kind, response }) => (kind === "answer" || kind === "text" ? [response] : []));
  const replies = steps.flatMap((step) =>
    step.nextStates.flatMap((next) => (next.kind === "user" ? [{ step, text: next.text }] : [])),
  );
  const sides = steps.map(signsOf).filter((signs) => signs.length > 1);
  return {
    ...(rewards.length > 0 && { reward: mean(rewards) }),
    ...(answers.length > 0 && {
      words: mean(answers.map((answer) => wordsOf(answer).length)),
      repetition: mean(answers.map(repetitionOf)),
    }),
    replies: replies.length,
    reasks: replies.filter(({ step, text }) => isReask(step, text)).length,
    compared: sides.length,
    conflicts: sides.filter((signs) => new Set(signs).size > 1).length,
  };
}

/** Share of an answer's trigrams of words that came before in it; 0 for one of fewer than four words. */
export function repetitionOf(answer: string): number {
  const words = wordsOf(answer);
  const trigrams = words.slice(2).map((word, i) => `${words[i]} ${words[i + 1]} ${word}`);
  return trigrams.length < 2 ? 0 : 1 - new Set(trigrams).size / trigrams.length;
}

/** Whether a reply asks again what was asked: more than half of the words of either are in both. */
function isReask({ messages }: JudgedStep, reply: string): boolean {
  const asked = new Set(wordsOf(messages.findLast(({ role }) => role === "user")?.content ?? ""));
  const said = new Set(wordsOf(reply));
  const shared = [...said].filter((word) => asked.has(word)).length;
  return shared > 1 && shared / (asked.size + said.size - shared) > 0.5;
}

/** The signs of a step's rewards that are not 0, one for each source. */
function signsOf({ signals }: JudgedStep): readonly number[] {
  const bySource = new Map(
    signals.flatMap((signal) =>
      signal.kind === "reward" && signal.source !== COST && signal.value !== 0 && Number.isFinite(signal.value)
        ? [[signal.source, Math.sign(signal.value)] as const]
        : [],
    ),
  );
  return [...bySource.values()];
}

function wordsOf(text: string): readonly string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}
