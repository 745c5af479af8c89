import type { Message } from "@afterstate/core";
import type { JudgeRequest, StepJudge, Verdict } from "../types.js";
import { readCorrection } from "./correction-reader.js";
import { readInstruction } from "./instruction-reader.js";
import { readPolarity } from "./polarity-reader.js";

/** Right among the panel's verdicts on the held-out labelled steps, as their test measures it. */
const MEASURED_RELIABILITY = 0.871;
/** Characters of a text that rules read. */
const MAX_CHARACTERS = 8_000;

/**
 * A panel of three rule readers over request, response and next state: polarity of the reply, correction or re-ask, and
 * instruction on how it should have been done. The majority of those that do not abstain decides; a tie abstains.
 * Tool results that merely succeeded are neutral, tool errors −1; an explicit score or an environment's reward decides by its sign.
 */
export function ruleJudge(): StepJudge {
  return { name: "rules", reliability: MEASURED_RELIABILITY, judge: async (request) => judgeByRules(request) };
}

/** −1, 0 or +1 by majority; a tie or no vote abstains. */
export function majority(votes: readonly number[]): Verdict {
  const counts = [-1, 0, 1].map((value) => votes.filter((vote) => vote === value).length);
  const most = Math.max(...counts);
  if (most === 0 || counts.filter((count) => count === most).length > 1) return { value: undefined, votes };
  return { value: (counts.indexOf(most) - 1) as -1 | 0 | 1, votes };
}

/** The last thing the user said in a context, "" if nothing. */
export function lastUserText(messages: readonly Message[]): string {
  return messages.findLast(({ role }) => role === "user")?.content ?? "";
}

function judgeByRules({ messages, response, nextState }: JudgeRequest): Verdict {
  switch (nextState.kind) {
    case "user": {
      const [asked, answered, reply] = [lastUserText(messages), response, nextState.text].map((text) =>
        text.slice(0, MAX_CHARACTERS),
      );
      const votes = [readPolarity(reply!), readCorrection(asked!, answered!, reply!), readInstruction(reply!)];
      return majority(votes.filter((vote) => vote !== undefined));
    }
    case "tool":
      return majority([nextState.results.some(({ isError }) => isError) ? -1 : 0]);
    case "environment":
      return bySign(nextState.reward);
    case "feedback":
      return bySign(nextState.score);
    case "closed":
      return { value: undefined, votes: [] };
  }
}

function bySign(score: number | undefined): Verdict {
  return score === undefined || !Number.isFinite(score)
    ? { value: undefined, votes: [] }
    : majority([Math.sign(score)]);
}
