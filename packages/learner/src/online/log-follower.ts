import {
  AgentError,
  type AgentEvent,
  type Clock,
  type EventLog,
  type EventType,
  type LogRecord,
  messageOf,
  type PluginContext,
  systemClock,
} from "@afterstate/core";
import { LogReader } from "./log-reader.js";

/** What follows a log: see {@link LogFollower}. */
export interface LogFollowerOptions {
  /** Of the plugin that follows. */
  readonly name: string;
  readonly log: EventLog;
  /** Events after which the log is read on. */
  readonly wakesOn: ReadonlySet<EventType>;
  /** Gets each record, from the first one on, in order. */
  readonly take: (record: LogRecord) => void;
  /** Work that follows what was read. */
  readonly afterReading?: () => Promise<void>;
  readonly clock?: Clock;
}

/** Takes in a log from its first record on and goes on while an agent writes it, one task after the other. */
export class LogFollower {
  readonly #options: LogFollowerOptions;
  readonly #reader: LogReader;
  #context: PluginContext | undefined;
  #tail: Promise<void> = Promise.resolve();
  #wakePending = false;
  #stopped = false;
  #errors = 0;

  constructor(options: LogFollowerOptions) {
    this.#options = options;
    this.#reader = new LogReader(options.log, options.take);
  }

  /** The offset up to which the log was read. */
  get cursor(): number {
    return this.#reader.cursor;
  }

  /** Takes in what is there, and follows until the agent closes. */
  async start(context: PluginContext): Promise<void> {
    this.#context = context;
    await this.#reader.read();
    const stop = context.events.onAny(({ type, id }) => {
      if (!this.#options.wakesOn.has(type)) return;
      this.#reader.expect(id);
      this.#wake();
    });
    context.onDispose(async () => {
      this.#stopped = true;
      stop();
      await this.#tail;
    });
    this.#wake();
  }

  /** Resolves once everything that has happened so far is taken in, and its work done. */
  async settled(): Promise<void> {
    do await this.#tail;
    while (this.#wakePending);
  }

  /** Runs a task once those before it are over. */
  inTurn<T>(task: () => Promise<T>): Promise<T> {
    const run = this.#tail.then(task);
    this.#tail = run.then(
      () => {},
      () => {},
    );
    return run;
  }

  /** Reads what is there. Within a turn only. */
  async readOn(): Promise<void> {
    await this.#reader.readWhatHappened();
  }

  /** Tells an event of the follower's own, which belongs to no session unless it says so. Resolves when the log has it. */
  async emit(event: Pick<AgentEvent, "id" | "type"> & Partial<AgentEvent>): Promise<void> {
    const time = (this.#options.clock ?? systemClock).now();
    const place = { time, sessionId: "", episodeId: "", stepIndex: -1, policyVersion: "" };
    await this.#context?.emit({ ...place, ...event } as AgentEvent);
  }

  /** Tells of a failure that was got over. Must not throw. */
  async tellFailure(cause: unknown): Promise<undefined> {
    const code = AgentError.isInstance(cause) ? cause.code : `${this.#options.name}/failed`;
    const id = `${this.#options.name}#error-${this.cursor}-${this.#errors++}`;
    await this.emit({ id, type: "error", code, message: messageOf(cause) }).catch(() => {});
    return undefined;
  }

  #wake(): void {
    if (this.#wakePending || this.#stopped) return;
    this.#wakePending = true;
    void this.inTurn(async () => {
      this.#wakePending = false;
      do {
        await this.readOn();
        await this.#options.afterReading?.();
      } while (this.#reader.isBehind && !this.#stopped);
    }).catch((cause) => this.tellFailure(cause));
  }
}
