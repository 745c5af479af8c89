import type { MemoryRecord } from "@afterstate/core";
import { bm25, searchTerms } from "./bm25.js";
import type { StoredMemory } from "./user-memories.js";

/** Slots that help with every query, the most important first. */
const IDENTITY_SLOTS = ["name", "pronouns", "language"];

/** Who the user is, then what the query asks for by BM25, the newer first where two are as good. */
export function recallMemories(
  memories: readonly StoredMemory[],
  query: string,
  limit: number,
): readonly MemoryRecord[] {
  const identity = IDENTITY_SLOTS.flatMap((slot) => memories.filter((memory) => memory.slot === slot));
  const others = memories.filter((memory) => !identity.includes(memory)).reverse();
  const scores = bm25(
    searchTerms(query),
    others.map(({ record }) => searchTerms(record.text)),
  );
  const relevant = others
    .map((memory, index) => ({ memory, score: scores[index]! }))
    .filter(({ score }) => score > 0)
    .sort((left, right) => right.score - left.score)
    .map(({ memory }) => memory);
  return [...identity, ...relevant].slice(0, Math.max(0, limit)).map(({ record }) => record);
}
