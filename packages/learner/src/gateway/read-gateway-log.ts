import type { EventLog, Message } from "@afterstate/core";
import { conversationKey } from "./conversation-key.js";
import type { OpenConversation } from "./conversations.js";

/** What a gateway goes on from. */
export interface GatewayLog {
  readonly open: readonly OpenConversation[];
  /** When each version was made, in milliseconds since the epoch. */
  readonly createdAt: ReadonlyMap<string, number>;
}

interface Conversation {
  userId: string;
  lastUsed: number;
  messages: Message[];
  /** What the policy said after them. */
  answer: Message | undefined;
}

/** Reads a log from its beginning: conversations that clients lead and that were not closed, and the policy's versions. */
export async function readGatewayLog(log: EventLog): Promise<GatewayLog> {
  const conversations = new Map<string, Conversation>();
  const createdAt = new Map<string, number>();
  for await (const { event } of log.read(0)) {
    const { sessionId, time } = event;
    if (event.type === "policy-update") createdAt.set(event.candidate, time);
    if (event.type === "episode-start" && event.led) {
      const known = conversations.get(sessionId) ?? { messages: [], answer: undefined };
      conversations.set(sessionId, { ...known, userId: event.userId ?? "", lastUsed: time });
    }
    const conversation = conversations.get(sessionId);
    if (conversation === undefined) continue;
    if (event.type === "observation") conversation.messages.push(...event.added);
    if (event.type === "compaction") conversation.messages = [...event.messages];
    if (event.type === "observation" || event.type === "compaction") conversation.answer = undefined;
    if (event.type === "action") {
      conversation.answer = event.action.message;
      conversation.lastUsed = time;
    }
    if (event.type === "next-state" && event.nextState.kind === "closed") conversations.delete(sessionId);
  }
  const open = [...conversations].map(([sessionId, { userId, lastUsed, messages, answer }]) => {
    const scope = sessionId.slice(0, Math.max(0, sessionId.indexOf(".")));
    return { sessionId, lastUsed, key: conversationKey(scope, userId, answer ? [...messages, answer] : messages) };
  });
  return { open, createdAt };
}
