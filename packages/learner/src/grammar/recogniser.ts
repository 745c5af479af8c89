/**
 * One thing that is expected, in a place of its own: it takes a byte and says what is expected in its stead. Plain data but for `next`;
 * never changes.
 */
export interface Expected {
  /** Equal for things that take the same texts. */
  readonly key: string;
  /** The first of the shortest texts that complete it; after its first byte, what is left of it. */
  readonly shortest: string;
  /** What is expected after a byte, first things first; `past` when it is complete and the byte belongs to what follows; undefined when the byte is wrong. */
  next(byte: string): readonly Expected[] | "past" | undefined;
}

/** What is expected, first things first: a stack that shares its lower part with others. Never changes. */
export interface State {
  readonly top?: Expected;
  readonly below?: State;
  /** The shortest text that completes all of it; where it is empty a text may end. */
  readonly shortest: string;
  readonly key: string;
}

/** Nothing is expected any more. */
export const COMPLETE: State = { shortest: "", key: "" };

/** Puts expected things on top of a state. */
export function expecting(things: readonly Expected[], below: State = COMPLETE): State {
  return things.reduceRight<State>(
    (state, top) => ({ top, below: state, shortest: top.shortest + state.shortest, key: `${top.key} ${state.key}` }),
    below,
  );
}

/** The state after a byte, the same one where nothing changes; undefined where the byte is wrong. */
export function step(state: State, byte: string): State | undefined {
  for (let now: State | undefined = state; now?.top !== undefined; now = now.below) {
    const next = now.top.next(byte);
    if (next === undefined) return undefined;
    if (next === "past") continue;
    return next.length === 1 && next[0] === now.top ? now : expecting(next, now.below);
  }
  return undefined;
}
