/** Time as an argument. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
}

/** The machine's own time. */
export const systemClock: Clock = { now: () => Date.now() };
