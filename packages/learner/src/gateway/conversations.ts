import { randomUUID } from "node:crypto";
import type { Agent, AssistantMessage, Clock, Message } from "@afterstate/core";
import { conversationKey } from "./conversation-key.js";

/** A conversation that has been found again in the log. */
export interface OpenConversation {
  readonly sessionId: string;
  /** Milliseconds since the epoch. */
  readonly lastUsed: number;
  /** See `conversationKey`; undefined before its first answer. */
  readonly key: string | undefined;
}

/** The conversations that a gateway holds: which request belongs to which, and when one is over. */
export interface Conversations {
  /** The conversation of a request; `leave` takes the answer that it got, if any. */
  enter(request: {
    readonly scope: string;
    readonly userId: string;
    /** As the client named it. Absent: recognised by the messages, else a new one. */
    readonly sessionId: string | undefined;
    readonly messages: readonly Message[];
  }): { readonly sessionId: string; leave(answer: AssistantMessage | undefined): void };
  /** Ends one at its client's wish. */
  close(scope: string, sessionId: string): Promise<void>;
  /** Ends those that nobody has used for `idleMs`. */
  closeIdle(): Promise<void>;
  readonly open: number;
}

interface Held {
  lastUsed: number;
  running: number;
  /** Under which it can be found. */
  key: string | undefined;
}

/** The id of a session in the agent and its log: two keys never share one. */
const sessionOf = (scope: string, sessionId: string) =>
  sessionId.startsWith(`${scope}.`) ? sessionId : `${scope}.${sessionId}`;

/** Goes on with the conversations that were open. */
export function holdConversations(
  agent: Agent,
  {
    open,
    idleMs,
    clock,
  }: { readonly open: readonly OpenConversation[]; readonly idleMs: number; readonly clock: Clock },
): Conversations {
  const held = new Map<string, Held>();
  /** Conversations may be the same to the word: then the one that was used last goes on. */
  const byKey = new Map<string, string[]>();

  const file = (sessionId: string, one: Held, key: string | undefined) => {
    const before = one.key === undefined ? undefined : byKey.get(one.key)?.filter((id) => id !== sessionId);
    if (one.key !== undefined && before?.length) byKey.set(one.key, before);
    else if (one.key !== undefined) byKey.delete(one.key);
    one.key = key;
    if (key !== undefined) byKey.set(key, [...(byKey.get(key) ?? []), sessionId]);
  };
  const forget = (sessionId: string) => {
    const one = held.get(sessionId);
    if (one) file(sessionId, one, undefined);
    held.delete(sessionId);
  };
  for (const { sessionId, lastUsed, key } of open) {
    const one = { lastUsed, running: 0, key: undefined };
    held.set(sessionId, one);
    file(sessionId, one, key);
  }

  return {
    enter({ scope, userId, sessionId: named, messages }) {
      const key = conversationKey(scope, userId, messages);
      const known = key === undefined ? undefined : byKey.get(key)?.at(-1);
      const sessionId = sessionOf(scope, named ?? known ?? randomUUID());
      const one = held.get(sessionId) ?? { lastUsed: 0, running: 0, key: undefined };
      held.set(sessionId, one);
      one.running += 1;
      one.lastUsed = clock.now();
      file(sessionId, one, undefined);
      return {
        sessionId,
        leave(answer) {
          one.running -= 1;
          one.lastUsed = clock.now();
          if (held.get(sessionId) !== one) return;
          file(sessionId, one, answer ? conversationKey(scope, userId, [...messages, answer]) : key);
        },
      };
    },
    async close(scope, sessionId) {
      forget(sessionOf(scope, sessionId));
      await agent.closeSession(sessionOf(scope, sessionId), "header");
    },
    async closeIdle() {
      const idle = [...held].filter(([, { running, lastUsed }]) => running === 0 && clock.now() - lastUsed >= idleMs);
      for (const [sessionId] of idle) {
        forget(sessionId);
        await agent.closeSession(sessionId, "idle");
      }
    },
    get open() {
      return held.size;
    },
  };
}
