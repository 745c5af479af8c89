import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, createAgent, createEventBus, MEMORY, type Message } from "@afterstate/core";
import { collectEvents, scriptedModel } from "@afterstate/core/testing";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { memoryContract } from "../testing/memory-contract.js";
import { type MemoryBank, memoryBank, openMemoryBank } from "./memory-bank.js";

const signal = new AbortController().signal;
const writtenBy = { episodeId: "e", stepIndex: 0 };
const folder = await mkdtemp(join(tmpdir(), "memory-bank-"));
afterAll(() => rm(folder, { recursive: true }));
let files = 0;
const newPath = () => join(folder, `${files++}`, "memory.jsonl");

const steppingClock = (): Clock => {
  let time = 1_000;
  return { now: () => time++ };
};
const tell = (bank: MemoryBank, text: string, userId = "ann", messages: Message[] = []) =>
  bank.remember({ scope: { userId, sessionId: "s" }, messages, nextState: { kind: "user", text }, writtenBy, signal });
const recall = async (bank: MemoryBank, query: string, userId = "ann", limit = 10) =>
  (await bank.recall({ query, scope: { userId }, limit, signal })).map(({ text }) => text);

describe.each([
  ["in memory", () => openMemoryBank()],
  ["in a file", () => openMemoryBank({ path: newPath() })],
])("memoryBank %s keeps the contract of Memory", (_, open) => {
  const facts = [
    { said: "Please remember that I like green tea.", query: "What tea do I like?", word: "green tea" },
    { said: "My dog is called Rex.", query: "What is my dog called?", word: "Rex" },
    { said: "My name is Ann.", query: "Who am I?", word: "Ann" },
  ];
  for (const { name, check } of memoryContract({ open, close: (memory) => (memory as MemoryBank).close(), facts }))
    it(name, check);
});

describe("memoryBank", () => {
  it("adds, updates, ends and leaves alone, and keeps the history with its times", async () => {
    const bank = await openMemoryBank({ clock: steppingClock() });
    const kinds = async (text: string) => (await tell(bank, text)).map(({ kind }) => kind);
    expect(await kinds("I'm Ann")).toEqual(["add"]); // at 1000
    expect(await kinds("My name is Ann.")).toEqual(["noop"]); // at 1001
    expect(await kinds("my name is Anna")).toEqual(["update"]); // at 1002
    expect(await recall(bank, "anything")).toEqual(["The user's name is Anna."]);
    expect(await kinds("Forget my name")).toEqual(["delete"]); // at 1003
    expect(await kinds("Forget my name")).toEqual(["noop"]);
    expect(await kinds("How are you?")).toEqual([]);
    expect(await recall(bank, "What is my name?")).toEqual([]);
    expect(bank.history("ann").map(({ id, text, createdAt, endedAt }) => ({ id, text, createdAt, endedAt }))).toEqual([
      { id: "memory-0", text: "The user's name is Ann.", createdAt: 1000, endedAt: 1002 },
      { id: "memory-0", text: "The user's name is Anna.", createdAt: 1002, endedAt: 1003 },
    ]);
    expect(await kinds("my name is Ann")).toEqual(["add"]);
    expect(bank.history("ann").at(-1)?.id).toBe("memory-1");
  });

  it("takes two spellings of a slot for one, and a denial ends just the denied value", async () => {
    const bank = await openMemoryBank();
    await tell(bank, "My favourite colour is blue.");
    expect(await tell(bank, "my favorite color is Blue")).toMatchObject([{ kind: "noop" }]);
    expect(await tell(bank, "My favourite colour is not red")).toMatchObject([{ kind: "noop" }]);
    expect(await recall(bank, "favourite colour")).toEqual(["The user's favourite colour is blue."]);
    expect(await tell(bank, "My favourite colour isn't blue.")).toMatchObject([{ kind: "delete" }]);
    expect(await recall(bank, "favourite colour")).toEqual([]);
  });

  it("forgets everything of one user when asked to", async () => {
    const bank = await openMemoryBank();
    await tell(bank, "My name is Ann and my dog is called Rex.");
    await tell(bank, "My name is Bob.", "bob");
    expect(await tell(bank, "forget everything you know about me")).toMatchObject([
      { kind: "delete" },
      { kind: "delete" },
    ]);
    expect(await recall(bank, "dog name")).toEqual([]);
    expect(await recall(bank, "dog name", "bob")).toEqual(["The user's name is Bob."]);
  });

  it("recalls the name first, then what fits best, and nothing that does not fit", async () => {
    const bank = await openMemoryBank();
    await tell(bank, "Remember that I drink tea in the morning.");
    await tell(bank, "My favourite colour is blue. My favourite tea is Assam tea. My dog is called Rex.");
    await tell(bank, "My name is Ann.");
    expect(await recall(bank, "Which tea is my favourite?")).toEqual([
      "The user's name is Ann.",
      "The user's favourite tea is Assam tea.",
      "The user's favourite colour is blue.",
      "The user drinks tea in the morning.",
    ]);
    expect(await recall(bank, "Which tea is my favourite?", "ann", 2)).toHaveLength(2);
    expect(await recall(bank, "What is 17 * 4?")).toEqual(["The user's name is Ann."]);
  });

  it("reads what the user says next, and not again what was said before", async () => {
    const bank = await openMemoryBank();
    await tell(bank, "My name is Ann.", "ann");
    await tell(bank, "My name is Anna.", "ann");
    expect(await tell(bank, "Hello!", "ann", [{ role: "user", content: "My name is Ann." }])).toEqual([]);
    const toolResult = {
      scope: { userId: "ann" },
      messages: [],
      nextState: { kind: "tool", results: [] },
      writtenBy,
      signal,
    } as const;
    expect(await bank.remember(toolResult)).toEqual([]);
    expect(await recall(bank, "name")).toEqual(["The user's name is Anna."]);
  });

  it("keeps users apart whatever they say and in whatever order", async () => {
    const users = ["ann", "bob", "__proto__", "ann\u0000bob"];
    const said = fc.record({
      user: fc.constantFrom(...users),
      slot: fc.constantFrom("name", "dog", "city"),
      forget: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(said, { maxLength: 25 }), async (script) => {
        const bank = await openMemoryBank();
        const expected = new Map(users.map((user) => [user, new Map<string, string>()]));
        await Promise.all(
          script.map(({ user, slot, forget }, index) => {
            const value = `Xa${String.fromCharCode(97 + index)}u${users.indexOf(user)}`.replace(
              /\d/u,
              (digit) => "qwer"[Number(digit)]!,
            );
            if (forget) expected.get(user)!.delete(slot);
            else expected.get(user)!.set(slot, `The user's ${slot} is ${value}.`);
            return tell(bank, forget ? `forget my ${slot}` : `my ${slot} is ${value}`, user);
          }),
        );
        for (const user of users) {
          const recalled = await recall(bank, "name dog city", user, 100);
          expect(recalled.toSorted()).toEqual([...expected.get(user)!.values()].toSorted());
          expect(bank.history(user).every(({ scope }) => scope.userId === user)).toBe(true);
        }
      }),
      { numRuns: 200 },
    );
  });

  it("serves the agent loop: what one session tells, another knows, and another user does not", async () => {
    const path = newPath();
    const model = scriptedModel(["Hello Ann.", "You are Ann.", "I do not know."]);
    const say = async (prompt: string, userId: string) => {
      const agent = await createAgent({ model, plugins: [memoryBank({ path })], seed: 1 });
      const events = await collectEvents(agent.stream({ prompt, userId }));
      await agent.close();
      return events;
    };
    const written = (await say("Hi, I'm Ann.", "ann")).find((event) => event.type === "memory-write");
    expect(written).toMatchObject({ operations: [{ kind: "add", record: { text: "The user's name is Ann." } }] });
    await say("Who am I?", "ann");
    await say("Who am I?", "bob");
    const systemTexts = model.requests.map(({ messages }) =>
      messages.filter(({ role }) => role === "system").map(({ content }) => content),
    );
    expect(systemTexts).toEqual([["The user's name is Ann."], ["The user's name is Ann."], []]);
    model.assertExhausted();
  });

  it("is a plugin that provides MEMORY and closes its file with the agent", async () => {
    const plugin = memoryBank({ path: newPath() });
    const provided: unknown[] = [];
    const disposals: (() => void | Promise<void>)[] = [];
    await plugin.setup?.({
      provide: (key, service) => void provided.push(key, service),
      get: () => {
        throw new Error("the memory bank requires nothing");
      },
      onDispose: (dispose) => void disposals.push(dispose),
      events: createEventBus(),
      emit: async () => {},
    });
    expect(plugin.provides).toEqual([MEMORY]);
    expect(provided[0]).toBe(MEMORY);
    for (const dispose of disposals) await dispose();
    await expect(recall(provided[1] as MemoryBank, "x")).rejects.toMatchObject({ code: "memory/closed" });
  });
});
