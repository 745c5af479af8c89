import { createHash } from "node:crypto";
import type { Message } from "@afterstate/core";

/**
 * What a conversation is recognised by where no session is named: everything that was said up to the last answer, and by whom. System
 * messages do not count, since many clients write the time into them; neither does white space around a text.
 *
 * @returns undefined before the first answer.
 */
export function conversationKey(scope: string, userId: string, messages: readonly Message[]): string | undefined {
  const last = messages.findLastIndex(({ role }) => role === "assistant");
  if (last < 0) return undefined;
  const said = messages.slice(0, last + 1).flatMap((message) => {
    if (message.role === "system") return [];
    const { role, content } = message;
    if (role === "tool") return [[role, content.trim(), message.toolCallId]];
    if (role === "user") return [[role, content.trim()]];
    const calls = (message.toolCalls ?? []).map(({ id, name, input, invalidInput }) => [
      id,
      name,
      invalidInput ?? input,
    ]);
    return [[role, content.trim(), calls]];
  });
  return createHash("sha256")
    .update(JSON.stringify([scope, userId, said]))
    .digest("base64url");
}
