import type { Agent } from "./agent.js";
import type { Clock } from "./clock.js";
import type { AgentEvent } from "./event.js";
import type { EventLog } from "./event-log.js";

/** The sessions of an agent that wait for their user. Owns a timer until `stop()`. */
export interface IdleSessions {
  /** Closes the sessions whose time is over. The timer does it, too. */
  sweep(): Promise<void>;
  stop(): void;
}

/** The longest a timer of Node waits. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * Closes sessions in which nothing has happened for `idleMs` since their last run ended, so that the last step of each gets its next state.
 * Sessions that an earlier process left open are found in the log.
 */
export function closeIdleSessions(
  agent: Pick<Agent, "events" | "closeSession">,
  { idleMs, clock, log }: { readonly idleMs: number; readonly clock: Clock; readonly log: EventLog | undefined },
): IdleSessions {
  /** When each began to wait, longest first. */
  const idleSince = new Map<string, number>();
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  const waitsFrom = (sessionId: string, time: number) => {
    idleSince.delete(sessionId);
    idleSince.set(sessionId, time);
  };
  const note = ({ sessionId, time, ...event }: AgentEvent) => {
    if (event.type === "episode-end") waitsFrom(sessionId, time);
    if (event.type === "feedback" && idleSince.has(sessionId)) waitsFrom(sessionId, time);
    const isClosed = event.type === "next-state" && event.nextState.kind === "closed";
    if (event.type === "episode-start" || isClosed) idleSince.delete(sessionId);
  };
  const arm = () => {
    const [longest] = idleSince.values();
    if (stopped || timer !== undefined || longest === undefined) return;
    const left = Math.max(0, longest + idleMs - clock.now());
    timer = setTimeout(
      () => {
        timer = undefined;
        void idle.sweep().then(arm);
      },
      Math.min(left, LONGEST_TIMER_MS),
    );
    timer.unref();
  };
  /** What happened while the log was read; it comes after what the log tells. */
  let meanwhile: AgentEvent[] | undefined = [];
  const unsubscribe = agent.events.onAny((event) => {
    if (meanwhile !== undefined) meanwhile.push(event);
    else note(event);
    arm();
  });
  const readLog = async () => {
    if (log === undefined) return;
    for await (const { event } of log.read(0)) if (!stopped) note(event);
  };
  const known = readLog()
    .catch(() => {}) // a log that cannot be read refuses the sessions themselves
    .then(() => {
      for (const event of meanwhile ?? []) note(event);
      meanwhile = undefined;
      arm();
    });

  const idle: IdleSessions = {
    async sweep() {
      await known;
      for (const [sessionId, since] of [...idleSince]) {
        if (stopped || clock.now() - since < idleMs) return;
        idleSince.delete(sessionId);
        // What the log refused is tried again once as much time has passed.
        await agent.closeSession(sessionId, "idle").catch(() => waitsFrom(sessionId, clock.now()));
      }
    },
    stop() {
      stopped = true;
      unsubscribe();
      clearTimeout(timer);
    },
  };
  return idle;
}
