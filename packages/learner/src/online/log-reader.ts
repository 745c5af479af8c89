import type { EventLog, LogRecord } from "@afterstate/core";

/** An event is on the bus before the log has it: how often, and how far apart, the log is read again for it. */
const LOG_POLLS = 200;
const LOG_POLL_MS = 5;

/** Reads a log from its beginning on, each record once, and knows which events are still to come. */
export class LogReader {
  readonly #log: Pick<EventLog, "read">;
  readonly #take: (record: LogRecord) => void;
  /** Ids of events that were on the bus and have not been read from the log. */
  readonly #awaited = new Set<string>();
  #cursor = 0;

  /** @param take gets each record, in order. */
  constructor(log: Pick<EventLog, "read">, take: (record: LogRecord) => void) {
    this.#log = log;
    this.#take = take;
  }

  /** The offset up to which the log was read. */
  get cursor(): number {
    return this.#cursor;
  }

  /** Whether events that were on the bus have not been read. */
  get isBehind(): boolean {
    return this.#awaited.size > 0;
  }

  /** The ids of such events. */
  get awaited(): Iterable<string> {
    return this.#awaited;
  }

  /** Notes an event that was on the bus. */
  expect(eventId: string): void {
    this.#awaited.add(eventId);
  }

  /** Reads what is there. @returns the ids of the events among what was read that belong to no session. */
  async read(): Promise<ReadonlySet<string>> {
    const ids = new Set<string>();
    for await (const record of this.#log.read(this.#cursor)) {
      const { event, offset } = record;
      this.#cursor = offset + 1;
      this.#awaited.delete(event.id);
      if (event.sessionId === "") ids.add(event.id);
      this.#take(record);
    }
    return ids;
  }

  /** Reads until everything is there that was on the bus at the start; what the log refused is waited for no longer. */
  async readWhatHappened(): Promise<void> {
    const happened = [...this.#awaited];
    for (let polls = 0; polls < LOG_POLLS; polls++) {
      await this.read();
      if (!happened.some((id) => this.#awaited.has(id))) return;
      await new Promise((resolve) => setTimeout(resolve, LOG_POLL_MS));
    }
    for (const id of happened) this.#awaited.delete(id);
  }
}
