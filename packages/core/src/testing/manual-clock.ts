import type { Clock } from "../clock.js";

/** A clock that a test moves. */
export interface ManualClock extends Clock {
  advance(ms: number): void;
  /** Moves the time by `ms` at once, and notes it in `sleeps`. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** Every wait so far, in milliseconds. */
  readonly sleeps: readonly number[];
}

/** A clock that stands still at `start` until it is moved. */
export function manualClock(start = 0): ManualClock {
  let time = start;
  const sleeps: number[] = [];
  return {
    now: () => time,
    advance(ms) {
      time += ms;
    },
    async sleep(ms, signal) {
      signal.throwIfAborted();
      sleeps.push(ms);
      time += ms;
    },
    sleeps,
  };
}
