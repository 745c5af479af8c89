import { solvesNumberGame } from "./number-game.js";
import type { Question } from "./questions.js";

/** How an answer is put. */
export interface Style {
  readonly format: AnswerFormat;
  /** Whether the user is addressed by name. */
  readonly useName: boolean;
}

/** `24`, `The answer is 24.`, `48/2 = 24.` */
export const ANSWER_FORMATS = ["bare", "sentence", "working"] as const;
/** One of {@link ANSWER_FORMATS}. */
export type AnswerFormat = (typeof ANSWER_FORMATS)[number];

/** The text of an answer. `result` is the number, or the expression found in the number game. */
export function renderAnswer(question: Question, result: string, style: Style, name: string): string {
  const game = question.kind === "number-game";
  const text = {
    bare: result,
    sentence: `The answer is ${result}.`,
    working: game ? `${result} = ${question.answer}.` : `${question.sum} = ${result}.`,
  }[style.format];
  if (!style.useName) return text;
  return `${name}, ${style.format === "sentence" ? text.replace("The", "the") : text}`;
}

/** What an answer is worth. */
export interface AnswerScore {
  /** It states the right result. */
  readonly success: boolean;
  /** It is put as the user wants it. */
  readonly preferenceHeld: boolean;
}

/**
 * Scores an answer. The stated result is the last number of the text, or, in the number game, the expression before any `=`.
 * A puzzle is solved when its expression uses each number once and makes 24.
 */
export function scoreAnswer(question: Question, text: string, preference: Style, name: string): AnswerScore {
  if (question.kind === "number-game") {
    const stated = text.match(/[-+*/() \d]*\d[-+*/() \d]*/)?.[0].trim() ?? "";
    return {
      success: solvesNumberGame(stated, question.sum.split(" ").map(Number)),
      preferenceHeld: text === renderAnswer(question, stated, preference, name),
    };
  }
  const stated = text.match(/-?\d+(?:\.\d+)?(?=\D*$)/)?.[0];
  return {
    success: stated !== undefined && Number(stated) === Number(question.answer),
    preferenceHeld: text === renderAnswer(question, stated ?? question.answer, preference, name),
  };
}
