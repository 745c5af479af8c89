import assert from "node:assert/strict";
import type { Memory, MemoryRecord } from "@afterstate/core";

/** One promise of the `Memory` interface, and the check that rejects when an implementation breaks it. */
export interface ContractCheck {
  readonly name: string;
  check(): Promise<void>;
}

/** How the contract talks to an implementation: facts that it keeps when a user says them, with queries that ask for them. */
export interface ContractSubject {
  /** A memory that holds nothing. */
  open(): Promise<Memory>;
  close?(memory: Memory): Promise<void>;
  /** At least two facts that can hold side by side. `said` is kept, and a record about it contains `word`, which `query` asks for. */
  readonly facts: readonly { readonly said: string; readonly query: string; readonly word: string }[];
}

const signal = new AbortController().signal;

function tell(
  memory: Memory,
  userId: string,
  text: string,
  options: { signal?: AbortSignal; sessionId?: string } = {},
) {
  return memory.remember({
    scope: { userId, sessionId: options.sessionId ?? `session of ${userId}` },
    messages: [{ role: "assistant", content: "Go on." }],
    nextState: { kind: "user", text },
    writtenBy: { episodeId: "episode", stepIndex: 3 },
    signal: options.signal ?? signal,
  });
}

function ask(memory: Memory, userId: string, query: string, limit = 10): Promise<readonly MemoryRecord[]> {
  return memory.recall({ query, scope: { userId }, limit, signal });
}

/** What every implementation of `Memory` must keep, to be run one by one by the implementation's test. */
export function memoryContract({ open, close, facts }: ContractSubject): readonly ContractCheck[] {
  const [first, second] = [facts[0]!, facts[1]!];
  const checks: readonly { readonly name: string; check(memory: Memory): Promise<void> }[] = [
    {
      name: "recalls what the user said, in another session, too",
      async check(memory) {
        for (const { said } of facts) await tell(memory, "ann", said, { sessionId: "one" });
        for (const { query, word } of facts) {
          const recalled = await memory.recall({
            query,
            scope: { userId: "ann", sessionId: "two" },
            limit: 10,
            signal,
          });
          assert(
            recalled.some(({ text }) => text.includes(word)),
            `nothing recalled for "${query}" says "${word}"`,
          );
        }
      },
    },
    {
      name: "shows a memory to no other user",
      async check(memory) {
        await Promise.all([tell(memory, "ann", first.said), tell(memory, "bob", second.said)]);
        for (const { query } of facts) {
          for (const { text, scope } of await ask(memory, "bob", query)) {
            assert.equal(scope.userId, "bob");
            assert(!text.includes(first.word), `bob was shown "${text}"`);
          }
          assert.deepEqual(await ask(memory, "eve", query), []);
        }
      },
    },
    {
      name: "says what it wrote, when, and by which step",
      async check(memory) {
        const operations = await tell(memory, "ann", first.said);
        const added = operations.find((operation) => operation.kind === "add");
        assert(added !== undefined, "the first fact of a user is an addition");
        assert.deepEqual(added.record.writtenBy, { episodeId: "episode", stepIndex: 3 });
        assert.equal(added.record.endedAt, undefined);
        assert.deepEqual(await ask(memory, "ann", first.query), [added.record]);
      },
    },
    {
      name: "keeps a fact once, however often it is told",
      async check(memory) {
        for (let times = 0; times < 3; times++) await tell(memory, "ann", first.said);
        assert.equal((await ask(memory, "ann", first.query)).length, 1);
      },
    },
    {
      name: "recalls no more than the limit",
      async check(memory) {
        for (const { said } of facts) await tell(memory, "ann", said);
        const query = facts.map((fact) => fact.query).join(" ");
        for (const limit of [0, 1, 2]) assert((await ask(memory, "ann", query, limit)).length <= limit);
        assert.equal((await ask(memory, "ann", query, 1)).length, 1);
      },
    },
    {
      name: "recalls the same for the same query",
      async check(memory) {
        for (const { said } of facts) await tell(memory, "ann", said);
        assert.deepEqual(await ask(memory, "ann", first.query), await ask(memory, "ann", first.query));
      },
    },
    {
      name: "writes nothing of what states no fact",
      async check(memory) {
        const operations = await tell(memory, "ann", "What is 2 + 2?");
        assert(operations.every((operation) => operation.kind === "noop"));
        assert.deepEqual(await ask(memory, "ann", first.query), []);
      },
    },
    {
      name: "rejects an aborted call and writes nothing",
      async check(memory) {
        const aborted = AbortSignal.abort();
        await assert.rejects(tell(memory, "ann", first.said, { signal: aborted }));
        await assert.rejects(memory.recall({ query: "x", scope: { userId: "ann" }, limit: 1, signal: aborted }));
        assert.deepEqual(await ask(memory, "ann", first.query), []);
      },
    },
  ];
  return checks.map(({ name, check }) => ({
    name,
    async check() {
      const memory = await open();
      try {
        await check(memory);
      } finally {
        await close?.(memory);
      }
    },
  }));
}
