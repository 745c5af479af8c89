import { LRUCache } from "lru-cache";
import type { EventLog } from "./event-log.js";
import { newSession, rebuildSession, type Session } from "./session.js";
import { type SessionIndex, sessionIndex } from "./session-index.js";

/** Idle sessions kept in memory when the log can bring them back, and when it cannot. */
const MAX_IDLE_WITH_LOG = 1_000;
const MAX_IDLE_WITHOUT_LOG = 10_000;

type Slot = { tail: Promise<unknown>; users: number; episodes: number; session?: Session };

/** The sessions of an agent: one task at a time in each, the idle ones in a cache, the forgotten ones in the log. */
export interface SessionStore {
  /** The number that the session's next episode gets; takes it. */
  takeEpisodeNumber(sessionId: string): number;
  /** Runs `task` once the session's earlier tasks are over. Rejects when the log cannot be read or `task` rejects. */
  enter<T>(sessionId: string, task: (session: Session) => Promise<T>): Promise<T>;
  /** Waits for every task that has been entered. */
  drain(): Promise<void>;
}

/** Opens the sessions of a log; without one, sessions that are forgotten are gone. */
export async function openSessionStore(log?: EventLog): Promise<SessionStore> {
  const busy = new Map<string, Slot>();
  const idle = new LRUCache<string, Slot>({ max: log ? MAX_IDLE_WITH_LOG : MAX_IDLE_WITHOUT_LOG });
  const index: SessionIndex | undefined = log && sessionIndex(log);
  await index?.refresh();

  const slotOf = (sessionId: string): Slot =>
    busy.get(sessionId) ?? idle.get(sessionId) ?? { tail: Promise.resolve(), users: 0, episodes: 0 };

  const load = async (sessionId: string): Promise<Session> => {
    if (!index?.knows(sessionId)) return newSession(sessionId);
    await index.refresh();
    return rebuildSession(sessionId, index.read(sessionId));
  };

  return {
    takeEpisodeNumber(sessionId) {
      const slot = slotOf(sessionId);
      if (!busy.has(sessionId)) idle.set(sessionId, slot);
      const number = index ? index.takeEpisodeNumber(sessionId) : slot.episodes++;
      if (number === 0) slot.session ??= newSession(sessionId);
      return number;
    },
    enter(sessionId, task) {
      const slot = slotOf(sessionId);
      busy.set(sessionId, slot);
      idle.delete(sessionId);
      slot.users++;
      const run = async () => {
        try {
          slot.session ??= await load(sessionId);
          return await task(slot.session);
        } finally {
          if (--slot.users === 0) {
            busy.delete(sessionId);
            idle.set(sessionId, slot);
          }
        }
      };
      const result = slot.users === 1 ? run() : slot.tail.then(run);
      slot.tail = result.catch(() => {});
      return result;
    },
    async drain() {
      while (busy.size > 0) await Promise.all([...busy.values()].map(({ tail }) => tail));
    },
  };
}
