import type { Message } from "@afterstate/core";

/** A context with the hint at the end of the user's last message, as the teacher sees it; undefined when no user spoke. */
export function withHint(messages: readonly Message[], hint: string): readonly Message[] | undefined {
  const last = messages.findLastIndex(({ role }) => role === "user");
  if (last < 0) return undefined;
  return messages.map((message, index) =>
    index === last ? ({ ...message, content: `${message.content} ${hint}` } as Message) : message,
  );
}
