import { AgentError, type Decision, withGuidance } from "@afterstate/core";

/** The alternative in which the model is told nothing besides. */
export const AS_IS = "as is";

/**
 * A decision on what the model is told besides: one of the instructions, or nothing. It holds as long as the session.
 *
 * @throws AgentError `decision/invalid` for instructions that are empty or not all different.
 */
export function instructionDecision(instructions: readonly string[], name = "instruction"): Decision {
  const alternatives = [AS_IS, ...instructions];
  const isUsable = instructions.length > 0 && new Set(alternatives).size === alternatives.length;
  if (!isUsable || instructions.some((instruction) => instruction.trim() === ""))
    throw new AgentError(
      "decision/invalid",
      `decision "${name}" needs instructions that are not empty and all different`,
    );
  return {
    name,
    alternatives,
    scope: "session",
    apply(choice, request) {
      const messages = choice === AS_IS ? undefined : withGuidance(request.messages, choice);
      return messages === undefined ? request : { ...request, messages };
    },
  };
}
