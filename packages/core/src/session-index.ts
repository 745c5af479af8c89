import type { AgentEvent } from "./event.js";
import type { EventLog } from "./event-log.js";
import { parseEpisodeId } from "./session.js";

/** Where in a log the events of each session are. */
export interface SessionIndex {
  /** Reads what the log has gained since the last refresh. */
  refresh(): Promise<void>;
  /** The number that the session's next episode gets; takes it. */
  takeEpisodeNumber(sessionId: string): number;
  /** Whether the session has an episode, in the log or since. */
  knows(sessionId: string): boolean;
  /** The session's events, in order, as of the last refresh. */
  read(sessionId: string): AsyncIterable<AgentEvent>;
}

/** Records further apart than this are sought anew instead of read through. */
const SEEK_DISTANCE = 64;

/** An index of `log`, empty until refreshed. */
export function sessionIndex(log: EventLog): SessionIndex {
  const offsets = new Map<string, number[]>();
  const episodes = new Map<string, number>();
  let scanned = 0;

  const scan = async () => {
    for await (const { offset, event } of log.read(scanned)) {
      scanned = offset + 1;
      if (event.sessionId === "") continue;
      const places = offsets.get(event.sessionId);
      if (places) places.push(offset);
      else offsets.set(event.sessionId, [offset]);
      if (event.type !== "episode-start") continue;
      const number = parseEpisodeId(event.episodeId)?.number ?? -1;
      episodes.set(event.sessionId, Math.max(episodes.get(event.sessionId) ?? 0, number + 1));
    }
  };
  let scanning: Promise<void> = Promise.resolve();

  return {
    refresh() {
      scanning = scanning.catch(() => {}).then(scan);
      return scanning;
    },
    takeEpisodeNumber(sessionId) {
      const number = episodes.get(sessionId) ?? 0;
      episodes.set(sessionId, number + 1);
      return number;
    },
    knows: (sessionId) => episodes.has(sessionId),
    async *read(sessionId) {
      const places = [...(offsets.get(sessionId) ?? [])];
      let position = 0;
      for (let before = -1; position < places.length && position > before; ) {
        before = position;
        for await (const { offset, event } of log.read(places[position]!)) {
          if (offset === places[position]) {
            yield event;
            position++;
          }
          if (position >= places.length || places[position]! - offset > SEEK_DISTANCE) break;
        }
      }
    },
  };
}
