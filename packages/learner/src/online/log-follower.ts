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
import { unlearnedUsers, userHash } from "./unlearned-users.js";

/** Something that takes in records. */
export interface RecordFold {
  take(record: LogRecord): void;
}

/** What users who are to be unlearned leave. */
export interface LeftOut {
  isLeftOut(sessionId: string): boolean;
  /** Whether the user ever asked for it. */
  hasAsked(userId: string): boolean;
}

/** What follows a log: see {@link LogFollower}. */
export interface LogFollowerOptions<F extends RecordFold> {
  /** Of the plugin that follows. */
  readonly name: string;
  readonly log: EventLog;
  /** Events after which the log is read on. */
  readonly wakesOn: ReadonlySet<EventType>;
  /** What takes in each record, from the first one on, in order; opened anew when a user is to be unlearned. */
  readonly open: (left: LeftOut) => F;
  /** Work that follows what was read. */
  readonly afterReading?: () => Promise<void>;
  readonly clock?: Clock;
}

/**
 * Takes in a log from its first record on and goes on while an agent writes it, one task after the other. When the log says that a user is
 * to be unlearned, it is taken in again as if that user had never been there.
 */
export class LogFollower<F extends RecordFold> {
  readonly #options: LogFollowerOptions<F>;
  readonly #reader: LogReader;
  readonly #unlearned = unlearnedUsers();
  readonly #asked = new Set<string>();
  #fold: F;
  #isOutdated = false;
  #context: PluginContext | undefined;
  #tail: Promise<void> = Promise.resolve();
  #wakePending = false;
  #stopped = false;
  #errors = 0;

  constructor(options: LogFollowerOptions<F>) {
    this.#options = options;
    this.#fold = this.#open();
    this.#reader = new LogReader(options.log, (record) => {
      this.#unlearned.take(record);
      const { event } = record;
      if (event.type === "unlearn" && !event.lifted) {
        this.#asked.add(event.userHash);
        this.#isOutdated = true;
      }
      this.#fold.take(record);
    });
  }

  /** What took the log in. */
  get fold(): F {
    return this.#fold;
  }

  /** The offset up to which the log was read. */
  get cursor(): number {
    return this.#reader.cursor;
  }

  /** Takes in what is there, and follows until the agent closes. */
  async start(context: PluginContext): Promise<void> {
    this.#context = context;
    await this.#reader.read();
    await this.#renew();
    const stop = context.events.onAny(({ type, id }) => {
      if (type !== "unlearn" && !this.#options.wakesOn.has(type)) return;
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
    await this.#renew();
  }

  /** Leaves a user out from now on. Resolves once nothing is left of them. */
  async unlearn(userId: string): Promise<void> {
    const hash = userHash(userId);
    const id = `${this.#options.name}#unlearn-${this.cursor}-${hash.slice(0, 8)}`;
    await this.emit({ id, type: "unlearn", userHash: hash, lifted: false });
    await this.inTurn(() => this.readOn());
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

  #open(): F {
    return this.#options.open({
      isLeftOut: (sessionId) => this.#unlearned.isUnlearned(sessionId),
      hasAsked: (userId) => this.#asked.has(userHash(userId)),
    });
  }

  /** Takes everything in again where a user is to be unlearned. */
  async #renew(): Promise<void> {
    if (!this.#isOutdated) return;
    this.#isOutdated = false;
    const fold = this.#open();
    const end = this.cursor;
    for await (const record of this.#options.log.read(0)) {
      if (record.offset >= end) break;
      fold.take(record);
    }
    this.#fold = fold;
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
