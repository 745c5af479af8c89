import type { JudgeRequest } from "../types.js";
import { readCorrection } from "./correction-reader.js";
import { readPolarity } from "./polarity-reader.js";
import { lastUserText } from "./rule-judge.js";

/** Characters of a reply that rules read. */
const MAX_CHARACTERS = 8_000;

/** Whether the user said that the answer is wrong, wishes for its manner apart. */
export function isRejected({ messages, response, nextState }: JudgeRequest): boolean {
  if (nextState.kind !== "user") return false;
  const text = nextState.text.slice(0, MAX_CHARACTERS);
  return readPolarity(text) === -1 || readCorrection(lastUserText(messages), response, text) === -1;
}
