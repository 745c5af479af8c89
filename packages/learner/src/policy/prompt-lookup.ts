/** Tokens that a drafted stretch repeats: the longest that is looked for, and the shortest that is trusted. */
const LONGEST = 8;
const SHORTEST = 2;
/** Earlier places that are compared. */
const PLACES = 8;
/** How fast the share of right guesses follows the last ones. */
const MEMORY = 0.1;
const MOST = 8;
/** What is thought of guesses before the first one. */
const DOUBT = 0.25;

/** Guesses how a text goes on from how it went on before (prompt lookup: a draft without a draft model, after arXiv:2211.17192). */
export interface PromptLookup {
  /** The next tokens as they followed the longest stretch that the text ends in and that it held before. @param most how many at most. */
  draft(most: number): readonly number[];
  /** A token that follows. */
  add(id: number): void;
  /** How often the first guess was right, where there was one: a running mean that begins low, so that guesses prove themselves before they cost anything. */
  readonly accuracy: number;
}

/** Opens a lookup over a prompt. */
export function openPromptLookup(promptIds: readonly number[]): PromptLookup {
  const ids: number[] = [];
  /** Where stretches of SHORTEST tokens ended, the latest last. */
  const ends = new Map<string, number[]>();
  let accuracy = DOUBT;
  /** Where the guess stands; undefined where there is none. */
  let next: number | undefined;

  const place = (): number | undefined => {
    const places = ends.get(keyAt(ids, ids.length));
    if (places === undefined) return undefined;
    let [best, bestLength] = [undefined as number | undefined, 0];
    for (const end of places) {
      let length = SHORTEST;
      while (length < LONGEST && length < end && ids[end - 1 - length] === ids[ids.length - 1 - length]) length++;
      if (length >= bestLength) [best, bestLength] = [end, length];
    }
    return best;
  };
  const add = (id: number): void => {
    if (next !== undefined) accuracy += MEMORY * (Number(ids[next] === id) - accuracy);
    if (ids.length >= SHORTEST) {
      const key = keyAt(ids, ids.length);
      const places = ends.get(key) ?? [];
      places.push(ids.length);
      if (places.length > PLACES) places.shift();
      ends.set(key, places);
    }
    ids.push(id);
  };
  for (const id of promptIds) add(id);
  next = place();
  return {
    draft: (most) => (next === undefined ? [] : ids.slice(next, next + Math.min(most, MOST))),
    add(id) {
      add(id);
      next = place();
    },
    get accuracy() {
      return accuracy;
    },
  };
}

/** The SHORTEST tokens before an index. */
function keyAt(ids: readonly number[], end: number): string {
  return ids.slice(end - SHORTEST, end).join();
}

/** Rows that the fixed part of a pass of the decoder is worth: reading the weights. */
const FIXED_ROWS = 2;

/**
 * How many tokens are worth being drafted for each of some streams: as many as are accepted likelily enough. A pass over n rows costs
 * about n + FIXED_ROWS, a plain token of one of `streams` rows the part (streams + FIXED_ROWS) / streams of it, so one more row has to be
 * right with a probability of streams / (streams + FIXED_ROWS), that of the t-th being accuracy^t.
 */
export function worthDrafting(accuracy: number, streams: number): number {
  const enough = streams / (streams + FIXED_ROWS);
  let most = 0;
  while (most < MOST && accuracy ** (most + 1) > enough) most++;
  return most;
}
