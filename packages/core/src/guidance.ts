import type { Message } from "./message.js";

/** Learned text: in words what earlier next states taught. Provided under the service key `GUIDANCE`. */
export interface Guidance {
  /** What the steps of an episode are to keep in mind; undefined for nothing. Called once an episode, with the prompt in the context; must be cheap. */
  advise(request: {
    readonly sessionId: string;
    readonly userId?: string;
    readonly messages: readonly Message[];
  }): string | undefined;
}

/**
 * A context with text at the end of the user's last message: behind all that a prompt cache holds, and where a person would say it. A
 * teacher sees its hint there, and a policy what was learned in words. Undefined when no user spoke.
 */
export function withGuidance(messages: readonly Message[], text: string): readonly Message[] | undefined {
  const last = messages.findLastIndex(({ role }) => role === "user");
  if (last < 0) return undefined;
  return messages.map((message, index) =>
    index === last ? ({ ...message, content: `${message.content} ${text}` } as Message) : message,
  );
}
