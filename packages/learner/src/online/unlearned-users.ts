import { createHash } from "node:crypto";
import type { LogRecord } from "@afterstate/core";

/** What the log says of users who are not to be learned from: a session is left out whole when one of them took part in it. */
export interface UnlearnedUsers {
  /** Takes in the next record of the log. */
  take(record: LogRecord): void;
  /** The log offset after the last wish. */
  readonly upTo: number;
  isUnlearned(sessionId: string): boolean;
  /** The sessions that are left out by wishes at or after a log offset. */
  sessionsSince(offset: number): ReadonlySet<string>;
}

/** How the log names a user who is unlearned, so that the wish does not keep the name: SHA-256 in hexadecimal. */
export function userHash(userId: string): string {
  return createHash("sha256").update(userId).digest("hex");
}

interface KnownUser {
  /** Log offset at which the user came into each session. */
  readonly sessions: Map<string, number>;
  wishedAt?: number;
  /** Sessions from here on are learned from again. */
  liftedAt?: number;
}

/** Reads them off a log, which has to be given from the first record on. */
export function unlearnedUsers(): UnlearnedUsers {
  const users = new Map<string, KnownUser>();
  const leftOut = new Set<string>();
  let upTo = 0;
  const knownUser = (hash: string): KnownUser => {
    const known = users.get(hash) ?? { sessions: new Map() };
    users.set(hash, known);
    return known;
  };
  return {
    take({ event, offset }) {
      if (event.type === "episode-start" && event.userId !== undefined) {
        const user = knownUser(userHash(event.userId));
        if (!user.sessions.has(event.sessionId)) user.sessions.set(event.sessionId, offset);
        if (user.wishedAt !== undefined && user.liftedAt === undefined) leftOut.add(event.sessionId);
      }
      if (event.type !== "unlearn") return;
      upTo = offset + 1;
      const user = knownUser(event.userHash);
      if (event.lifted) {
        if (user.wishedAt !== undefined) user.liftedAt ??= offset;
        return;
      }
      if (user.wishedAt === undefined || user.liftedAt !== undefined) user.wishedAt = offset;
      delete user.liftedAt;
      for (const session of user.sessions.keys()) leftOut.add(session);
    },
    get upTo() {
      return upTo;
    },
    isUnlearned: (sessionId) => leftOut.has(sessionId),
    sessionsSince: (offset) =>
      new Set(
        [...users.values()].flatMap(({ sessions, wishedAt = -1 }) => (wishedAt >= offset ? [...sessions.keys()] : [])),
      ),
  };
}
