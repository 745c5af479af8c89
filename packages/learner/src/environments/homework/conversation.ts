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

/** So that the longest conversations stay within three times the length of most. */
const MOST_MESSAGES = 9;

/** One conversation for pre-training: messages as the agent loop would lay them out. Most have one or two turns. */
export function drawConversation(source: QuestionSource, habits: Habits, random: Random): readonly Message[] {
  const drawn = drawTrainingName(random);
  let name = random.next() < 0.9 ? drawn : undefined;
  let wishes: Wishes = {};
  let exchange: Exchange | undefined;
  const messages: Message[] = name === undefined ? [] : [{ role: "system", content: drawMemories(name, random) }];
  const say = (content: string) => messages.push({ role: "user", content });
  const reply = (content: string) => messages.push({ role: "assistant", content });
  const askSum = (lead: string) => {
    exchange = ask(source, random);
    const asked = random.next() < 0.5 ? drawWishes(random) : {};
    wishes = { ...wishes, ...asked };
    say([...(lead === "" ? [] : [lead]), exchange.text, ...wishPhrases(asked, random)].join(" "));
    messages.push(...exchange.extra, ...answer(exchange, wishes, habits, name, random));
  };
  const react = (to: Exchange) => {
    const again = drawWishes(random);
    wishes = { ...wishes, ...again };
    const rejected = random.next() < 0.6 ? [fill(random.pick(REJECTIONS), to.question.answer)] : [];
    const requests = wishPhrases(again, random);
    say([...rejected, ...(requests.length + rejected.length === 0 ? ["Again, please."] : requests)].join(" "));
    messages.push(...answer(to, wishes, habits, name, random));
  };
  const speak = () => {
    const kind = random.next();
    if (kind < 0.05) {
      const [said, answered] = random.pick(SMALL_TALK);
      say(said);
      reply(answered);
    } else if (kind < 0.08) {
      say(random.pick(NAME_QUESTIONS));
      reply(name === undefined ? "I don't know your name." : `Your name is ${name}.`);
    } else if (kind < 0.11) {
      name = drawn;
      say(fill(random.pick(INTRODUCTIONS), name));
      reply(`Nice to meet you, ${name}.`);
    } else if (kind < 0.2) {
      name = drawn;
      askSum(fill(random.pick(INTRODUCTIONS), name));
    } else {
      askSum(exchange !== undefined && random.next() < 0.4 ? random.pick(ACCEPTANCES) : "");
    }
  };
  speak();
  while (random.next() < 0.36 && messages.length < MOST_MESSAGES) {
    const next = random.next();
    if (exchange !== undefined && next < 0.5) react(exchange);
    else if (exchange !== undefined && next < 0.65) {
      say(random.pick(ACCEPTANCES));
      reply(random.pick(WELCOMES));
    } else speak();
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
