import type { JudgeRequest } from "../types.js";
import type { FoldedStep } from "./episode-fold.js";

/** A step as the head sees it: with what tools or the environment showed, before any user reacted. */
export function beforeReaction({ messages, response, kind, tokens, nextStates }: FoldedStep): JudgeRequest {
  const shown = nextStates.find((nextState) => nextState.kind === "tool" || nextState.kind === "environment");
  const nextState = shown ?? ({ kind: "closed", by: "idle" } as const);
  return { messages, response, nextState, kind, ...(tokens && { tokens }) };
}
