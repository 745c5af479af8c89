import { AgentError } from "./errors.js";
import type { AgentEvent } from "./event.js";
import type { EventLog, LogRecord } from "./event-log.js";

/** An event log that lives as long as the process. */
export function memoryEventLog(): EventLog {
  const events: AgentEvent[] = [];
  let closed = false;
  return {
    async append(event) {
      if (closed) throw new AgentError("log/closed", "the event log is closed; nothing can be appended");
      return events.push(event) - 1;
    },
    async *read(from): AsyncGenerator<LogRecord> {
      const end = events.length;
      for (let offset = from; offset < end; offset++) yield { offset, event: events[offset]! };
    },
    get nextOffset() {
      return events.length;
    },
    cutBytes: 0,
    async close() {
      closed = true;
    },
  };
}
