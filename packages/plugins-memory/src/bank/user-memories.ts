import type { MemoryOperation, MemoryRecord, MemoryScope, StepRef } from "@afterstate/core";
import { type Statement, sameness } from "../facts/statement.js";

/** A record with what the user's statements are matched by. */
export interface StoredMemory {
  readonly record: MemoryRecord;
  /** What is said of the user, e.g. "favourite colour"; a slot holds one valid record at a time. Absent for free facts. */
  readonly slot?: string;
}

/** The memories of one user. */
export interface UserMemories {
  /** Those that hold, oldest first. */
  readonly valid: readonly StoredMemory[];
  /** Those that do not hold any more, in the order in which they ended. */
  readonly ended: readonly StoredMemory[];
}

/** The memories of a user of whom nothing is known. */
export const NO_MEMORIES: UserMemories = { valid: [], ended: [] };

/** A change of one user's memories, as it is kept in the journal. */
export type MemoryChange =
  | { readonly kind: "add"; readonly added: StoredMemory }
  | { readonly kind: "update"; readonly added: StoredMemory; readonly previous: MemoryRecord }
  | { readonly kind: "delete"; readonly ended: MemoryRecord };

/** Whose memories are changed, when, and by which step. */
export interface MemoryAuthor {
  readonly scope: MemoryScope;
  readonly writtenBy: StepRef;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** An id that no record has had. */
  newId(): string;
}

/** What a statement changes in a user's memories: nothing, one record, or (to forget everything) all of them. */
export function changesFor(
  memories: UserMemories,
  statement: Statement,
  author: MemoryAuthor,
): readonly MemoryChange[] {
  const ends = (matching: (memory: StoredMemory) => boolean): readonly MemoryChange[] =>
    memories.valid.filter(matching).map(({ record }) => ({ kind: "delete", ended: endedAt(record, author.now) }));
  switch (statement.kind) {
    case "fact":
      return factChanges(memories, statement, author);
    case "denial":
      return ends(({ slot, record }) => slot === statement.slot && sameness(record.text) === sameness(statement.text));
    case "forget-slot":
      return ends(({ slot }) => slot === statement.slot);
    case "forget-text":
      return ends(({ record }) => sameness(record.text) === sameness(statement.text));
    case "forget-everything":
      return ends(() => true);
  }
}

function factChanges(
  { valid }: UserMemories,
  { slot, text }: Extract<Statement, { kind: "fact" }>,
  { scope, writtenBy, now, newId }: MemoryAuthor,
): readonly MemoryChange[] {
  if (valid.some(({ record }) => sameness(record.text) === sameness(text))) return [];
  const current = slot === undefined ? undefined : valid.find((memory) => memory.slot === slot)?.record;
  const createdAt = Math.max(now, current?.createdAt ?? now);
  const record: MemoryRecord = { id: current?.id ?? newId(), text, scope, createdAt, writtenBy };
  const added: StoredMemory = slot === undefined ? { record } : { record, slot };
  return [
    current === undefined ? { kind: "add", added } : { kind: "update", added, previous: endedAt(current, createdAt) },
  ];
}

function endedAt(record: MemoryRecord, now: number): MemoryRecord {
  return { ...record, endedAt: Math.max(now, record.createdAt) };
}

/** The memories after a change. */
export function applyChange({ valid, ended }: UserMemories, change: MemoryChange): UserMemories {
  if (change.kind === "add") return { valid: [...valid, change.added], ended };
  const gone = change.kind === "update" ? change.previous : change.ended;
  const slot = valid.find(({ record }) => record.id === gone.id)?.slot;
  const others = valid.filter(({ record }) => record.id !== gone.id);
  return {
    valid: change.kind === "update" ? [...others, change.added] : others,
    ended: [...ended, slot === undefined ? { record: gone } : { record: gone, slot }],
  };
}

/** A change as the loop reports it. */
export function operationOf(change: MemoryChange): MemoryOperation {
  switch (change.kind) {
    case "add":
      return { kind: "add", record: change.added.record };
    case "update":
      return { kind: "update", record: change.added.record, previous: change.previous };
    case "delete":
      return { kind: "delete", record: change.ended };
  }
}

/** The user whom a change concerns. */
export function userOf(change: MemoryChange): string {
  return (change.kind === "delete" ? change.ended : change.added.record).scope.userId;
}
