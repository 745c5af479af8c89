import {
  AgentError,
  type Clock,
  MEMORY,
  type Memory,
  type MemoryOperation,
  type MemoryRecord,
  type Plugin,
  systemClock,
} from "@afterstate/core";
import { extractStatements } from "../facts/extract-statements.js";
import type { Statement } from "../facts/statement.js";
import { openMemoryJournal } from "./memory-journal.js";
import { recallMemories } from "./recall-memories.js";
import {
  applyChange,
  changesFor,
  type MemoryChange,
  NO_MEMORIES,
  operationOf,
  type UserMemories,
  userOf,
} from "./user-memories.js";

/** How a memory bank keeps its records. */
export interface MemoryBankOptions {
  /** The file that keeps the memories. Without it they end with the process. */
  readonly path?: string;
  readonly clock?: Clock;
}

/** Long-term memory of facts that users state about themselves, each user's apart. */
export interface MemoryBank extends Memory {
  /** Every record of a user, also those that hold no longer, by the time they were made. A record and its updates share an id. */
  history(userId: string): readonly MemoryRecord[];
  /** Bytes of a torn tail that were cut when the file was opened, 0 if none. */
  readonly cutBytes: number;
  /** Waits for writes under way. */
  close(): Promise<void>;
}

type RememberRequest = Parameters<Memory["remember"]>[0];

const ID = "memory-";

/** A plugin that provides MEMORY: a memory bank that opens and closes with the agent. */
export function memoryBank(options: MemoryBankOptions = {}): Plugin {
  return {
    name: "memory-bank",
    provides: [MEMORY],
    async setup(context) {
      const bank = await openMemoryBank(options);
      context.onDispose(() => bank.close());
      context.provide(MEMORY, bank);
    },
  };
}

/** Opens a memory bank. @throws AgentError `memory/corrupt` or `memory/locked` for its file. */
export async function openMemoryBank({ path, clock = systemClock }: MemoryBankOptions = {}): Promise<MemoryBank> {
  const journal = path === undefined ? undefined : await openMemoryJournal(path);
  const users = new Map<string, UserMemories>();
  let ids = 0;
  let closed = false;
  let writing: Promise<unknown> = Promise.resolve();

  for (const change of journal?.changes ?? []) {
    users.set(userOf(change), applyChange(memoriesOf(userOf(change)), change));
    if (change.kind === "add") ids = Math.max(ids, Number(change.added.record.id.slice(ID.length)) + 1);
  }

  function memoriesOf(userId: string): UserMemories {
    return users.get(userId) ?? NO_MEMORIES;
  }

  function refuseClosed(): void {
    if (closed) throw new AgentError("memory/closed", "the memory bank is closed");
  }

  async function write(request: RememberRequest): Promise<readonly MemoryOperation[]> {
    refuseClosed();
    request.signal.throwIfAborted();
    const { scope, nextState, writtenBy } = request;
    const author = { scope, writtenBy, now: clock.now(), newId: () => `${ID}${ids++}` };
    const statements = nextState.kind === "user" ? extractStatements(nextState.text) : [];
    let memories = memoriesOf(scope.userId);
    const changes: MemoryChange[] = [];
    const operations: MemoryOperation[] = [];
    for (const statement of statements) {
      const made = changesFor(memories, statement, author);
      memories = made.reduce(applyChange, memories);
      changes.push(...made);
      operations.push(...(made.length === 0 ? [noop(statement)] : made.map(operationOf)));
    }
    if (changes.length > 0) await journal?.append(changes);
    users.set(scope.userId, memories);
    return operations;
  }

  return {
    async recall({ query, scope, limit, signal }) {
      refuseClosed();
      signal.throwIfAborted();
      return recallMemories(memoriesOf(scope.userId).valid, query, limit);
    },
    remember(request) {
      const written = writing.then(() => write(request));
      writing = written.catch(() => {});
      return written;
    },
    history(userId) {
      const { valid, ended } = memoriesOf(userId);
      return [...ended, ...valid].map(({ record }) => record).sort((left, right) => left.createdAt - right.createdAt);
    },
    cutBytes: journal?.cutBytes ?? 0,
    async close() {
      await writing;
      if (closed) return;
      closed = true;
      await journal?.close();
    },
  };
}

function noop(statement: Statement): MemoryOperation {
  const reason = statement.kind === "fact" ? `known already: ${statement.text}` : "nothing to forget";
  return { kind: "noop", reason };
}
