import type { Channel } from "./channel.js";
import type { Clock } from "./clock.js";
import { AgentError, messageOf } from "./errors.js";
import type { AgentEvent, EventPayloads, EventType } from "./event.js";
import type { EventBus } from "./event-bus.js";
import type { EventLog } from "./event-log.js";

const NOT_LOGGED: ReadonlySet<EventType> = new Set(["text-delta", "tool-progress", "plan-expand"]);

/** Whether the log keeps events of this type. */
export function isLogged(type: EventType): boolean {
  return !NOT_LOGGED.has(type);
}

/** What went wrong when the log did not take an event. */
export function logFailure(cause: unknown): AgentError {
  if (AgentError.isInstance(cause)) return cause;
  return new AgentError("log/append-failed", `the event log did not take an event: ${messageOf(cause)}`, { cause });
}

/** The events of one run: numbers them, hands them to the run's iterators, the bus and the log. */
export class EpisodeEvents {
  stepIndex = -1;
  policyVersion: string;
  /** The first failure of the log, if any. */
  failure: AgentError | undefined;
  readonly #stream: Channel<AgentEvent>;
  readonly #sessionId: string;
  readonly #episodeId: string;
  readonly #clock: Clock;
  readonly #bus: EventBus;
  readonly #log: EventLog | undefined;
  #next: number;
  #unacknowledged = 0;
  #settled: (() => void) | undefined;

  constructor(options: {
    readonly sessionId: string;
    readonly episodeId: string;
    readonly policyVersion: string;
    /** The number of the first event. */
    readonly next: number;
    readonly stream: Channel<AgentEvent>;
    readonly clock: Clock;
    readonly bus: EventBus;
    readonly log: EventLog | undefined;
  }) {
    this.#stream = options.stream;
    this.#sessionId = options.sessionId;
    this.#episodeId = options.episodeId;
    this.policyVersion = options.policyVersion;
    this.#next = options.next;
    this.#clock = options.clock;
    this.#bus = options.bus;
    this.#log = options.log;
  }

  /** The number that the next event gets. */
  get next(): number {
    return this.#next;
  }

  emit<T extends EventType>(type: T, payload: EventPayloads[T]): void {
    const event = this.#make(type, payload);
    this.#deliver(event);
    if (this.#log && isLogged(type)) this.#append(this.#log, event);
  }

  /** The hot path of `emit("text-delta", …)`. */
  textDelta(text: string): void {
    this.#deliver({
      id: `${this.#episodeId}#${this.#next++}`,
      time: this.#clock.now(),
      sessionId: this.#sessionId,
      episodeId: this.#episodeId,
      stepIndex: this.stepIndex,
      policyVersion: this.policyVersion,
      type: "text-delta",
      text,
    });
  }

  /** Emits the last event once the log has it and all before it, or has failed, and ends the stream. */
  async end(payloadOf: () => EventPayloads["episode-end"]): Promise<void> {
    const failure = this.failure;
    let event = this.#make("episode-end", payloadOf());
    if (this.#log) {
      this.#append(this.#log, event);
      await this.acknowledged();
      if (this.failure !== failure) event = { ...event, ...payloadOf() };
    }
    this.#deliver(event);
    this.#stream.end();
  }

  /** Ends the stream, and not the episode, once the log has all events so far, or has failed. */
  async pause(): Promise<void> {
    await this.acknowledged();
    this.#stream.end();
  }

  /** Waits until the log has acknowledged or refused every event so far. */
  async acknowledged(): Promise<void> {
    if (this.#unacknowledged === 0) return;
    await new Promise<void>((resolve) => {
      this.#settled = resolve;
    });
  }

  #make<T extends EventType>(type: T, payload: EventPayloads[T]): AgentEvent {
    return {
      id: `${this.#episodeId}#${this.#next++}`,
      time: this.#clock.now(),
      sessionId: this.#sessionId,
      episodeId: this.#episodeId,
      stepIndex: this.stepIndex,
      policyVersion: this.policyVersion,
      type,
      ...payload,
    } as unknown as AgentEvent;
  }

  #deliver(event: AgentEvent): void {
    this.#stream.push(event);
    this.#bus.emit(event);
  }

  #append(log: EventLog, event: AgentEvent): void {
    this.#unacknowledged++;
    try {
      log.append(event).then(this.#onKept, this.#onRefused);
    } catch (cause) {
      this.#onRefused(cause);
    }
  }

  readonly #onKept = () => {
    if (--this.#unacknowledged === 0) this.#settled?.();
  };

  readonly #onRefused = (cause: unknown) => {
    this.failure ??= logFailure(cause);
    if (--this.#unacknowledged === 0) this.#settled?.();
  };
}
