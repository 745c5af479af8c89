import { othersTurn } from "../policy/others-turn.js";

/** Lets work that goes on in passes be held between two of them. */
export interface Pace {
  hold(held: boolean): void;
  /** Resolves while nothing holds. Work calls it between its passes. */
  passed(): Promise<void>;
}

/** A pace on the caller's own thread: other work of the thread gets its turn at each pass. */
export function openPace(): Pace {
  let waiting: { readonly free: Promise<void>; readonly release: () => void } | undefined;
  return {
    hold(held) {
      if (!held) {
        waiting?.release();
        waiting = undefined;
      } else if (waiting === undefined) {
        let release = () => {};
        const free = new Promise<void>((resolve) => {
          release = resolve;
        });
        waiting = { free, release };
      }
    },
    async passed() {
      await othersTurn();
      while (waiting !== undefined) await waiting.free;
    },
  };
}

/** A pace that one thread holds and another one keeps: the flag is shared, and a thread that is held sleeps. */
export function sharedPace(flag: Int32Array): Pace {
  return {
    hold(held) {
      Atomics.store(flag, 0, held ? 1 : 0);
      Atomics.notify(flag, 0);
    },
    async passed() {
      while (Atomics.load(flag, 0) === 1) Atomics.wait(flag, 0, 1);
    },
  };
}
