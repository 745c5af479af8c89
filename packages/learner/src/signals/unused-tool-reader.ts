import type { HintReader, JudgeRequest } from "../types.js";
import { isRejected } from "./rejection.js";

/** Rejections, or rightly none, among the held-out labelled replies without advice of their own, as its test measures it. */
const MEASURED_RELIABILITY = 0.736;

/**
 * Reads off a rejection what the user did not say: where there is one tool and the answer was given without it, it should have been used.
 * With several tools it reads nothing, for it cannot know which of them.
 */
export function unusedToolReader(): HintReader {
  return { name: "unused-tool", reliability: MEASURED_RELIABILITY, read: async (request) => readUnusedTool(request) };
}

function readUnusedTool(request: JudgeRequest): string | undefined {
  const { messages, kind, tools = [] } = request;
  const [tool, ...others] = tools;
  if (kind === "tool" || tool === undefined || others.length > 0 || !isRejected(request)) return undefined;
  const asked = messages.findLastIndex(({ role }) => role === "user");
  const isUsed = messages.slice(asked + 1).some(({ role }) => role === "tool");
  return isUsed ? undefined : `Use the ${tool.name.replace(/[_-]+/g, " ")}.`;
}
