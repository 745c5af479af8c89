import { createRandom, mixSeed, type Random } from "@afterstate/core";
import { USER_NAMES } from "./names.js";
import { drawPuzzle } from "./number-game.js";
import {
  ACCEPTANCES,
  FORMAT_REQUESTS,
  fill,
  GAME_QUESTIONS,
  INTRODUCTIONS,
  NAME_REQUESTS,
  QUESTIONS,
  REJECTIONS,
  TOOL_REQUESTS,
  typed,
} from "./phrases.js";
import type { Homework, Question } from "./questions.js";
import { ANSWER_FORMATS, type Style, scoreAnswer } from "./style.js";

/** What a user says next. */
export interface Reaction {
  readonly text: string;
  /** The user reads the reply to this and goes. */
  readonly leaves: boolean;
}

/** One session of one user: a question, and reactions in words. */
export interface SimulatedSession {
  readonly sessionId: string;
  readonly userId: string;
  readonly name: string;
  readonly question: Question;
  /** How the user wants to be answered. */
  readonly preference: Style;
  /** The first message. Whoever is here for the first time says who they are. */
  readonly opening: string;
  /** The reply to an answer. No reward is handed over: the words are all there is. */
  react(answer: string): Reaction;
}

/** Users who send homework and react as people do: accept, ask again, correct, or say how they want it. */
export interface SimulatedUsers {
  /** How all of them want to be answered; nobody says so until an answer was otherwise. */
  readonly preference: Style;
  session(): SimulatedSession;
}

/** What users are like. */
export interface UserOptions {
  readonly seed: number;
  /** How many there are. Default 40. */
  readonly users?: number;
  /** Share of reactions that say the opposite of what the answer deserved. Default 0.1. */
  readonly noise?: number;
  /** Share of sessions that ask for a number game, which needs a plan. Default 0.06. */
  readonly gameShare?: number;
  /** Default: an answer format drawn by the seed, with the user's name. */
  readonly preference?: Style;
  /** Number of the first session. Sessions of another number are others. Default 0. */
  readonly firstSession?: number;
}

const USERS = 40;

/** The name of a user, by number: different for up to 50 users, and anywhere in the alphabet. */
export function userName(seed: number, user: number): string {
  return USER_NAMES[(mixSeed(seed, "names") + 7 * user) % USER_NAMES.length]!;
}

/** Names that none of the simulated users of a seed has. */
export function strangersNames(seed: number): readonly string[] {
  return Array.from({ length: USER_NAMES.length - USERS }, (_, index) => userName(seed, USERS + index));
}

/** Simulated users of the homework domain. Same seed and same answers, same words. */
export function createSimulatedUsers(homework: Homework, options: UserOptions): SimulatedUsers {
  const { seed, users = USERS, noise = 0.1, gameShare = 0.06 } = options;
  const preference = options.preference ?? {
    format: createRandom(mixSeed(seed, "preference")).pick(ANSWER_FORMATS),
    useName: true,
  };
  let next = options.firstSession ?? 0;
  return {
    preference,
    session() {
      const number = next++;
      const random = createRandom(mixSeed(seed, "session", number));
      const user = number < users ? number : random.integer(users);
      const name = userName(seed, user);
      const game = random.next() < gameShare;
      const question = game ? drawPuzzle(random).question : homework.draw("train", random);
      const asked = fill(
        random.pick(game ? GAME_QUESTIONS : QUESTIONS),
        game ? question.sum : typed(question.sum, random),
      );
      const introduction = number < users ? `${fill(random.pick(INTRODUCTIONS), name)} ` : "";
      let reactions = 0;
      return {
        sessionId: `session-${number}`,
        userId: `user-${user}`,
        name,
        question,
        preference,
        opening: introduction + asked,
        react(answer) {
          const { success, preferenceHeld } = scoreAnswer(question, answer, preference, name);
          const content = success && preferenceHeld;
          const saysContent = random.next() < noise ? !content : content;
          const text = saysContent
            ? random.pick(ACCEPTANCES)
            : complaint(question, success, answer, preference, name, random);
          reactions += 1;
          return { text, leaves: saysContent || reactions === 2 };
        },
      };
    },
  };
}

/** What bothers: a wrong result first, then the manner. */
function complaint(
  question: Question,
  success: boolean,
  answer: string,
  preference: Style,
  name: string,
  random: Random,
): string {
  const said: string[] = [];
  if (!success) {
    said.push(fill(random.pick(REJECTIONS), question.answer));
    if (question.kind !== "number-game" && random.next() < 0.7) said.push(random.pick(TOOL_REQUESTS.with));
  }
  if (success || random.next() < 0.3) {
    const bare = answer.replace(`${name}, `, "");
    const nameMissing = preference.useName && bare === answer;
    const formatOff = !scoreAnswer(question, bare, { ...preference, useName: false }, name).preferenceHeld;
    if (formatOff) said.push(random.pick(FORMAT_REQUESTS[preference.format]));
    if (nameMissing && (!formatOff || random.next() < 0.7)) said.push(random.pick(NAME_REQUESTS.with));
  }
  return said.length > 0 ? said.join(" ") : "Please check that again.";
}
