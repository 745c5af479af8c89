import type { AgentEvent } from "./event.js";

/** One record of the log with its place. Offsets are consecutive from 0. */
export interface LogRecord {
  readonly offset: number;
  readonly event: AgentEvent;
}

/** A durable, append-only log of events. */
export interface EventLog {
  /** Resolves with the record's offset once it is kept as the fsync policy promises. Order of calls is order in the log. */
  append(event: AgentEvent): Promise<number>;
  /** Records from `from` on, in order, up to the end of the log at the time of the call. */
  read(from: number): AsyncIterable<LogRecord>;
  /** The offset that the next record will get. */
  readonly nextOffset: number;
  /** Bytes of a torn tail that were cut when the log was opened, 0 if none. */
  readonly cutBytes: number;
  close(): Promise<void>;
}
