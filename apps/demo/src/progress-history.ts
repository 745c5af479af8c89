import type { Progress } from "./progress.js";

const MAX_MESSAGES = 60;

/** What a page that is opened late still has to see: all numbers, the last messages. */
export interface ProgressHistory {
  add(progress: Progress): void;
  /** What was added at or after a place and is still kept. */
  since(place: number): readonly Progress[];
  /** The place that the next one gets. */
  end(): number;
  /** Resolves when something is added. */
  added(): Promise<void>;
}

/** An empty history. Old messages and old evaluation ticks are forgotten, everything else is kept. */
export function progressHistory(): ProgressHistory {
  let kept: { readonly place: number; readonly progress: Progress }[] = [];
  let place = 0;
  let waiting: (() => void)[] = [];
  let passing = 0;

  const forget = () => {
    const excess = passing - MAX_MESSAGES;
    let dropped = 0;
    kept = kept.filter(({ progress }) => !isPassing(progress) || ++dropped > excess);
    passing = MAX_MESSAGES;
  };

  return {
    add(progress) {
      kept.push({ place: place++, progress });
      if (isPassing(progress)) passing += 1;
      if (passing >= 2 * MAX_MESSAGES) forget();
      for (const wake of waiting) wake();
      waiting = [];
    },
    since: (from) => kept.filter((entry) => entry.place >= from).map(({ progress }) => progress),
    end: () => place,
    added: () => new Promise((resolve) => waiting.push(resolve)),
  };
}

/** What is of no interest later: a simulated conversation, a tick of an evaluation. */
function isPassing(progress: Progress): boolean {
  return (progress.type === "message" && progress.arm !== "person") || progress.type === "evaluating";
}
