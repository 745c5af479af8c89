import type { AssistantMessage, Message, Random } from "@afterstate/core";
import { drawTrainingName } from "./names.js";
import {
  ACCEPTANCES,
  FORMAT_REQUESTS,
  fill,
  GAME_QUESTIONS,
  INTRODUCTIONS,
  NAME_QUESTIONS,
  NAME_REQUESTS,
  OTHER_MEMORIES,
  QUESTIONS,
  REJECTIONS,
  SMALL_TALK,
  TOOL_REQUESTS,
  typed,
  WELCOMES,
} from "./phrases.js";
import type { Question } from "./questions.js";
import { ANSWER_FORMATS, type AnswerFormat, renderAnswer } from "./style.js";

/** How often the pre-trained policy does what nobody asked for: what the learner has to work on. */
export interface Habits {
  /** Share of questions that it takes to the calculator unasked. */
  readonly toolRate: number;
  /** Share of answers with the user's name, unasked. */
  readonly nameRate: number;
}

/** What a request asks for; absent = left to habit. */
interface Wishes {
  readonly format?: AnswerFormat | undefined;
  readonly useName?: boolean | undefined;
  readonly useTool?: boolean | undefined;
}

/** Where the questions of pre-training come from. */
export interface QuestionSource {
  question(): Question;
  /** A puzzle with an expression that solves it. */
  puzzle(): { readonly question: Question; readonly solution: string };
}

/** The memory of the user's name, word for word as the memory bank writes it. */
export const nameMemory = (name: string): string => `The user's name is ${name}.`;

/** The name, and now and then something else that is known of the user. */
function drawMemories(name: string, random: Random): string {
  const others = random.next() < 0.08 ? [fill(random.pick(OTHER_MEMORIES), drawTrainingName(random))] : [];
  return [nameMemory(name), ...others].join("\n");
}

/** One conversation for pre-training: messages as the agent loop would lay them out. */
export function drawConversation(source: QuestionSource, habits: Habits, random: Random): readonly Message[] {
  const drawn = drawTrainingName(random);
  const known = random.next() < 0.9;
  const messages: Message[] = known ? [{ role: "system", content: drawMemories(drawn, random) }] : [];
  const say = (content: string) => messages.push({ role: "user", content });
  const kind = random.next();
  if (kind < 0.04) {
    const [said, answered] = random.pick(SMALL_TALK);
    say(said);
    messages.push({ role: "assistant", content: answered });
    return messages;
  }
  if (kind < 0.06) {
    say(random.pick(NAME_QUESTIONS));
    messages.push({ role: "assistant", content: known ? `Your name is ${drawn}.` : "I don't know your name." });
    return messages;
  }
  if (kind < 0.08) {
    say(fill(random.pick(INTRODUCTIONS), drawn));
    messages.push({ role: "assistant", content: `Nice to meet you, ${drawn}.` });
    return messages;
  }

  const introduces = random.next() < 0.1;
  const introduction = introduces ? `${fill(random.pick(INTRODUCTIONS), drawn)} ` : "";
  const name = known || introduces ? drawn : undefined;
  let exchange = ask(source, random);
  const wishes = random.next() < 0.5 ? drawWishes(random) : {};
  say([introduction + exchange.text, ...wishPhrases(wishes, random)].join(" "));
  messages.push(...exchange.extra, ...answer(exchange, wishes, habits, name, random));
  if (random.next() < 0.3) {
    if (random.next() < 0.4) {
      say(random.pick(ACCEPTANCES));
      messages.push({ role: "assistant", content: random.pick(WELCOMES) });
    } else {
      const again = drawWishes(random);
      const rejected = random.next() < 0.6 ? [fill(random.pick(REJECTIONS), exchange.question.answer)] : [];
      const requests = wishPhrases(again, random);
      say([...rejected, ...(requests.length + rejected.length === 0 ? ["Again, please."] : requests)].join(" "));
      messages.push(...answer(exchange, { ...wishes, ...again }, habits, name, random));
    }
  } else if (random.next() < 0.1) {
    exchange = ask(source, random);
    say(`${random.pick(ACCEPTANCES)} ${exchange.text}`);
    messages.push(...exchange.extra, ...answer(exchange, wishes, habits, name, random));
  }
  return messages;
}

interface Exchange {
  readonly question: Question;
  readonly text: string;
  /** The plan of a puzzle, as the planner's message. */
  readonly extra: readonly Message[];
  /** What goes into the calculator, and into the answer of a puzzle. */
  readonly expression: string;
}

function ask(source: QuestionSource, random: Random): Exchange {
  if (random.next() < 0.06) {
    const { question, solution } = source.puzzle();
    const text = fill(random.pick(GAME_QUESTIONS), question.sum);
    return { question, text, extra: [{ role: "system", content: `Plan: ${solution}` }], expression: solution };
  }
  const question = source.question();
  const text = fill(random.pick(QUESTIONS), typed(question.sum, random));
  return { question, text, extra: [], expression: question.sum };
}

function answer(
  { question, expression }: Exchange,
  wishes: Wishes,
  habits: Habits,
  name: string | undefined,
  random: Random,
): readonly Message[] {
  const messages: Message[] = [];
  if (wishes.useTool ?? random.next() < habits.toolRate) {
    const call = { id: "call", name: "calculator", input: { expression } };
    const message: AssistantMessage = { role: "assistant", content: "", toolCalls: [call] };
    messages.push(message, { role: "tool", toolCallId: "call", toolName: "calculator", content: question.answer });
  }
  const style = {
    format: wishes.format ?? random.pick(ANSWER_FORMATS),
    useName: name !== undefined && (wishes.useName ?? random.next() < habits.nameRate),
  };
  const result = question.kind === "number-game" ? expression : question.answer;
  messages.push({ role: "assistant", content: renderAnswer(question, result, style, name ?? "") });
  return messages;
}

function drawWishes(random: Random): Wishes {
  const maybe = <T>(share: number, draw: () => T): T | undefined => (random.next() < share ? draw() : undefined);
  return {
    format: maybe(0.5, () => random.pick(ANSWER_FORMATS)),
    useName: maybe(0.45, () => random.next() < 0.8),
    useTool: maybe(0.4, () => random.next() < 0.85),
  };
}

/** The wishes in words, in any order. */
function wishPhrases({ format, useName, useTool }: Wishes, random: Random): string[] {
  const phrases = [
    ...(format === undefined ? [] : [random.pick(FORMAT_REQUESTS[format])]),
    ...(useName === undefined ? [] : [random.pick(NAME_REQUESTS[useName ? "with" : "without"])]),
    ...(useTool === undefined ? [] : [random.pick(TOOL_REQUESTS[useTool ? "with" : "without"])]),
  ];
  return phrases
    .map((phrase) => [random.next(), phrase] as const)
    .sort(([a], [b]) => a - b)
    .map(([, phrase]) => phrase);
}
