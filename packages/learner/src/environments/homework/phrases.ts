import type { Random } from "@afterstate/core";
import type { AnswerFormat } from "./style.js";

/*
 * How people of this domain talk. `{}` is the place of a sum or a name. The judge and the hint reader of `signals/` were
 * written without these lists.
 */

/** Ways to ask for a sum. */
export const QUESTIONS: readonly string[] = [
  "What is {}?",
  "{}",
  "How much is {}?",
  "Calculate {}.",
  "Can you work out {}?",
  "what's {}",
  "I need {}.",
  "{} = ?",
];

/** Ways to ask for the number game. */
export const GAME_QUESTIONS: readonly string[] = ["Make 24 from {}.", "Can you make 24 from {}?", "make 24 from {}"];

/** Ways to say who one is, before a question. */
export const INTRODUCTIONS: readonly string[] = ["I'm {}.", "My name is {}.", "Hi, I'm {}.", "Hello, my name is {}."];

/** What else a memory may say of a user, word for word as the memory bank writes it. */
export const OTHER_MEMORIES: readonly string[] = [
  "The user's dog is called {}.",
  "The user's sister is {}.",
  "The user's teacher is {}.",
  "The user's city is {}.",
];

/** Ways to ask for an answer format. */
export const FORMAT_REQUESTS: Readonly<Record<AnswerFormat, readonly string[]>> = {
  bare: [
    "Only the number, please.",
    "Just the number, please.",
    "Just give me the number.",
    "I only want the number.",
    "No sentence, just the result.",
    "Please answer with the number only.",
  ],
  sentence: [
    "Please answer in a full sentence.",
    "Say it in a sentence, please.",
    "I would like a whole sentence.",
    "Use a complete sentence.",
    "Please write a sentence.",
  ],
  working: [
    "Show the working, please.",
    "Please show your working.",
    "Show me the calculation, too.",
    "I want to see the working.",
    "Please write out the sum with the result.",
  ],
};

/** Ways to ask to be addressed by name, or not. */
export const NAME_REQUESTS: Readonly<Record<"with" | "without", readonly string[]>> = {
  with: [
    "Use my name.",
    "Use my name, please.",
    "Please call me by my name.",
    "Address me by name.",
    "Say my name first.",
  ],
  without: ["Don't use my name.", "Please leave out my name.", "No need to say my name."],
};

/** Ways to ask for the calculator, or against it. */
export const TOOL_REQUESTS: Readonly<Record<"with" | "without", readonly string[]>> = {
  with: [
    "Use the calculator.",
    "Please use the calculator.",
    "Use the calculator, please.",
    "Check it with the calculator.",
    "You should use the calculator.",
  ],
  without: ["Don't use the calculator.", "Do it in your head, please."],
};

/** Ways to say that an answer is wrong. `{}` is the right result. */
export const REJECTIONS: readonly string[] = [
  "No, that's wrong.",
  "That is not right.",
  "That's not correct.",
  "Wrong.",
  "Hmm, I get {}.",
  "It should be {}.",
  "I don't think that's right.",
  "No.",
];

/** Ways to accept an answer. */
export const ACCEPTANCES: readonly string[] = [
  "Thanks!",
  "Perfect, thank you.",
  "Great, thanks.",
  "Thank you!",
  "Yes, that's right.",
  "Good.",
];

/** What is answered to an acceptance. */
export const WELCOMES: readonly string[] = ["You're welcome."];

/** Small talk: what may be said, and what is answered. `{}` is the user's name. */
export const SMALL_TALK: readonly (readonly [said: string, answered: string])[] = [
  ["Hello", "Hello! What shall I work out?"],
  ["Hi!", "Hello! What shall I work out?"],
  ["hey", "Hello! What shall I work out?"],
  ["What can you do?", "I do sums, in my head or with a calculator."],
  ["Who are you?", "I do sums, in my head or with a calculator."],
  ["help", "I do sums, in my head or with a calculator."],
  ["ok", "What shall I work out?"],
  ["Bye", "Goodbye!"],
  ["See you tomorrow.", "Goodbye!"],
  ["What is the capital of France?", "I only do sums."],
  ["Tell me a story.", "I only do sums."],
  ["What's the weather like?", "I only do sums."],
  ["Do you like music?", "I only do sums."],
  ["Can you write a poem?", "I only do sums."],
];

/** Ways to ask for the name on record. */
export const NAME_QUESTIONS: readonly string[] = [
  "What is my name?",
  "What's my name?",
  "Do you remember my name?",
  "Who am I?",
];

/** Puts a value in the place of `{}`. */
export function fill(phrase: string, value: string): string {
  return phrase.replace("{}", value);
}

/** A sum as someone may type it: sometimes with spaces around its operators. */
export function typed(sum: string, random: Random): string {
  return random.next() < 0.15 ? sum.replaceAll(/(?<=[\d)])([+\-*/])/g, " $1 ") : sum;
}
