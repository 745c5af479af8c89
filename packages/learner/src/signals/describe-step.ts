import type { Message, NextState, ToolResult } from "@afterstate/core";
import type { JudgeRequest } from "../types.js";

/** Characters of a step that a judge is shown: of its request, of its response, and of what happened next. */
const MAX_PART = 4_000;
const MAX_MESSAGE = 2_000;
const MAX_RESULTS = 16;
const LINE_END = /\r\n|[\n\r\v\f\u0085\u2028\u2029]/;

/**
 * Request, response and next state of a step as a judge reads them. Each is quoted: every line of it begins with `| ` and its `<`
 * are written `‹`, so that no text within can close the part, open another, or begin a line of its own. Long parts lose
 * their middle.
 */
export function describeStep({ messages, response, nextState }: JudgeRequest): string {
  return [
    part("request", describeRequest(messages)),
    part("response", shortened(response, MAX_PART)),
    part("next-state", describeNextState(nextState)),
  ].join("\n");
}

/** A text of at most so many characters: beyond it the middle is left out, and how much that was is said in its place. */
export function shortened(text: string, most: number): string {
  if (text.length <= most) return text;
  const [head, tail] = [Math.ceil(most * 0.6), Math.floor(most * 0.4)];
  return `${text.slice(0, head)} […${text.length - head - tail} characters left out…] ${text.slice(-tail)}`;
}

function part(name: string, text: string): string {
  const lines = text.split(LINE_END).map((line) => `| ${line.replaceAll("<", "‹")}`);
  return `<${name}>\n${lines.join("\n")}\n</${name}>`;
}

/** The newest messages that fit, oldest first. */
function describeRequest(messages: readonly Message[]): string {
  const shown: string[] = [];
  let room = MAX_PART;
  for (const { role, content } of messages.toReversed()) {
    const line = `${role}: ${shortened(content, MAX_MESSAGE)}`;
    if (line.length > room && shown.length > 0) {
      shown.push("[…earlier messages left out…]");
      break;
    }
    shown.push(line);
    room -= line.length;
  }
  return shown.reverse().join("\n");
}

function describeNextState(nextState: NextState): string {
  switch (nextState.kind) {
    case "user":
      return `The user replied: ${shortened(nextState.text, MAX_PART)}`;
    case "tool":
      return describeResults(nextState.results);
    case "environment":
      return `The environment showed: ${shortened(nextState.observation, MAX_PART)}`;
    case "feedback":
      return `Feedback was given. ${shortened(nextState.correction ?? "", MAX_PART)}`;
    case "closed":
      return "The session ended.";
  }
}

/** Each result has its own share of the room, failed ones first among those shown, so that no long one hides another. */
function describeResults(results: readonly ToolResult[]): string {
  const shown = [...results.filter(({ isError }) => isError), ...results.filter(({ isError }) => !isError)];
  const room = Math.floor(MAX_PART / Math.min(MAX_RESULTS, Math.max(1, results.length)));
  const lines = shown.slice(0, MAX_RESULTS).map(({ toolName, isError, content }) => {
    const verdict = `${shortened(toolName, 60)} ${isError ? "failed" : "returned"}`;
    return `${verdict}: ${shortened(content, room)}`;
  });
  const left = shown.length - lines.length;
  return [...lines, ...(left > 0 ? [`[…${left} more results…]`] : [])].join("\n");
}
