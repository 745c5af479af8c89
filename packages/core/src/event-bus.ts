import { EventEmitter } from "eventemitter3";
import type { AgentEvent, EventOf, EventType } from "./event.js";

/** Where observers listen. A listener that throws is reported once as an `error` event and never reaches the emitter. */
export interface EventBus {
  /** Listens to one type. @returns a function that stops listening. */
  on<T extends EventType>(type: T, listener: (event: EventOf<T>) => void): () => void;
  /** Listens to every event. @returns a function that stops listening. */
  onAny(listener: (event: AgentEvent) => void): () => void;
  emit(event: AgentEvent): void;
}

const ANY = "*";

/** An event bus on eventemitter3. */
export function createEventBus(): EventBus {
  const emitter = new EventEmitter();
  const failed = new WeakSet<(event: never) => void>();

  const listen = (name: string, listener: (event: never) => void): (() => void) => {
    const guarded = (event: AgentEvent) => {
      try {
        const outcome: unknown = (listener as (event: AgentEvent) => unknown)(event);
        if (outcome instanceof Promise) outcome.catch((cause) => report(listener, event, cause));
      } catch (cause) {
        report(listener, event, cause);
      }
    };
    emitter.on(name, guarded);
    return () => void emitter.off(name, guarded);
  };

  const report = (listener: (event: never) => void, event: AgentEvent, cause: unknown) => {
    if (failed.has(listener)) return;
    failed.add(listener);
    const { id, time, sessionId, episodeId, stepIndex, policyVersion } = event;
    const message = `a listener of "${event.type}" threw: ${cause instanceof Error ? cause.message : String(cause)}`;
    bus.emit({
      id: `${id}/listener-error`,
      time,
      sessionId,
      episodeId,
      stepIndex,
      policyVersion,
      type: "error",
      code: "event/listener-failed",
      message,
    });
  };

  const bus: EventBus = {
    on: (type, listener) => listen(type, listener),
    onAny: (listener) => listen(ANY, listener),
    emit(event) {
      emitter.emit(event.type, event);
      emitter.emit(ANY, event);
    },
  };
  return bus;
}
