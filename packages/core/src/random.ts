/** A stream of random numbers. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** Uniform integer in [0, n). */
  integer(n: number): number;
  /** One element. @throws RangeError if there is none. */
  pick<T>(items: readonly T[]): T;
}

/** A seeded stream: mulberry32. Same seed, same numbers, on every machine. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return {
    next,
    integer: (n) => Math.floor(next() * n),
    pick(items) {
      if (items.length === 0) throw new RangeError("pick() needs at least one element");
      return items[Math.floor(next() * items.length)]!;
    },
  };
}

/** Mixes numbers and strings into one 32-bit seed (FNV-1a), so that derived streams do not overlap. */
export function mixSeed(...parts: readonly (number | string)[]): number {
  let hash = 0x811c9dc5;
  for (const part of parts) {
    for (const character of `${part}|`) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
  }
  return hash >>> 0;
}

/** A 32-bit seed drawn from the system, for whoever was given none. */
export function systemSeed(): number {
  return globalThis.crypto.getRandomValues(new Uint32Array(1))[0]!;
}
