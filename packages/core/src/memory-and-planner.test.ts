import { describe, expect, it } from "vitest";
import { z } from "zod";
import {
  type AgentEvent,
  createAgent,
  MEMORY,
  type Memory,
  type MemoryRecord,
  memoryEventLog,
  mixSeed,
  PLANNER,
  type Planner,
  type Plugin,
} from "./index.js";
import { collectEvents, manualClock, scriptedModel } from "./testing/index.js";

const typesOf = (events: readonly AgentEvent[]) => events.map(({ type }) => type);
const record = (text: string): MemoryRecord => ({ id: text, text, scope: { userId: "ann" }, createdAt: 0 });

/** A memory that keeps every sentence that begins with "I". */
const noteTaking = () => {
  const kept: MemoryRecord[] = [];
  const remembered: Parameters<Memory["remember"]>[0][] = [];
  const recalled: Parameters<Memory["recall"]>[0][] = [];
  const memory: Memory = {
    async recall(request) {
      recalled.push(request);
      return kept;
    },
    async remember(request) {
      remembered.push(request);
      const text = request.nextState.kind === "user" ? request.nextState.text : "";
      if (!text.startsWith("I ")) return [];
      kept.push(record(text));
      return [{ kind: "add", record: record(text) }];
    },
  };
  const plugin: Plugin = { name: "notes", provides: [MEMORY], setup: ({ provide }) => provide(MEMORY, memory) };
  return { plugin, kept, remembered, recalled };
};

describe("memory in a run", () => {
  it("hears each user message once, before it is asked, and what it recalls stands before the prompt", async () => {
    const { plugin, remembered, recalled } = noteTaking();
    const model = scriptedModel(["Hello.", "Ann.", "Yes."]);
    const agent = await createAgent({ model, plugins: [plugin], instructions: "Be kind.", clock: manualClock() });
    const say = (prompt: string) => collectEvents(agent.stream({ prompt, sessionId: "s", userId: "ann" }));

    const first = await say("I am Ann.");
    expect(typesOf(first).slice(0, 5)).toEqual([
      "episode-start",
      "memory-write",
      "memory-recall",
      "step-start",
      "observation",
    ]);
    expect(first[1]).toMatchObject({ stepIndex: -1, operations: [{ kind: "add", record: { text: "I am Ann." } }] });
    expect(first[2]).toMatchObject({ query: "I am Ann.", memories: [{ text: "I am Ann." }] });
    expect(model.requests[0]!.messages).toEqual([
      { role: "system", content: "Be kind.", pinned: true },
      { role: "system", content: "I am Ann." },
      { role: "user", content: "I am Ann." },
    ]);

    const second = await say("I like tea.");
    expect(typesOf(second).slice(0, 4)).toEqual(["episode-start", "next-state", "memory-write", "memory-recall"]);
    // what the context shows already is not recalled again
    expect(second[3]).toMatchObject({ memories: [{ text: "I like tea." }] });
    const third = await say("Do you know me?");
    expect(typesOf(third).slice(0, 4)).toEqual(["episode-start", "next-state", "memory-recall", "step-start"]);
    expect(third[2]).toMatchObject({ memories: [] });

    expect(remembered).toHaveLength(3);
    expect(remembered.map(({ writtenBy }) => writtenBy)).toEqual([
      { episodeId: "s/0", stepIndex: 0 },
      { episodeId: "s/0", stepIndex: 0 },
      { episodeId: "s/1", stepIndex: 0 },
    ]);
    expect(remembered[1]).toMatchObject({
      scope: { userId: "ann", sessionId: "s" },
      nextState: { kind: "user", text: "I like tea." },
      messages: [{ content: "Be kind." }, {}, {}, { role: "assistant", content: "Hello." }],
    });
    expect(recalled[0]).toMatchObject({ query: "I am Ann.", scope: { userId: "ann", sessionId: "s" } });
  });

  it("joins several memories by newlines, and nothing else", async () => {
    const { plugin, kept } = noteTaking();
    kept.push(record("likes tea"), record("lives in Rome"));
    const model = scriptedModel(["Hello."]);
    const agent = await createAgent({ model, plugins: [plugin] });
    await agent.stream({ prompt: "Hi", userId: "ann" }).result();
    expect(model.requests[0]!.messages[0]).toEqual({ role: "system", content: "likes tea\nlives in Rome" });
  });

  it("is left alone when no user is named", async () => {
    const { plugin, remembered, recalled } = noteTaking();
    const agent = await createAgent({ model: scriptedModel(["Hello."]), plugins: [plugin] });
    expect(typesOf(await collectEvents(agent.stream({ prompt: "I am Ann." })))).not.toContain("memory-recall");
    expect([...remembered, ...recalled]).toEqual([]);
  });

  it("that fails is reported, and the run goes on without it", async () => {
    const broken: Memory = {
      recall: () => Promise.reject(new Error("no index")),
      remember: () => {
        throw new Error("no disk");
      },
    };
    const plugin: Plugin = { name: "broken", provides: [MEMORY], setup: ({ provide }) => provide(MEMORY, broken) };
    const agent = await createAgent({ model: scriptedModel(["Hello."]), plugins: [plugin] });
    const run = agent.stream({ prompt: "Hi", userId: "ann" });
    const events = await collectEvents(run);
    expect(events.slice(1, 3)).toMatchObject([
      { type: "error", code: "memory/failed", message: "the memory failed: no disk; the run goes on without it" },
      { type: "error", code: "memory/failed", message: "the memory failed: no index; the run goes on without it" },
    ]);
    expect(await run.result()).toMatchObject({ answer: "Hello.", stopReason: "answered" });
    expect(await run.result()).not.toHaveProperty("error");
  });
});

describe("a planner in a run", () => {
  const plan = { goal: "win", steps: ["a", "b"], text: "Plan: a, then b.", value: 1, simulations: 2 };
  const planning = (planner: Planner): Plugin => ({
    name: "planning",
    provides: [PLANNER],
    setup: ({ provide }) => provide(PLANNER, planner),
  });

  it("looks ahead once, before the first step, and its plan stands after the prompt", async () => {
    const asked: unknown[] = [];
    const planner: Planner = {
      goalOf: ({ messages }) => (messages.at(-1)!.content.includes("win") ? "win" : undefined),
      async plan({ goal, seed, observation, onExpand }) {
        asked.push([goal, seed, observation.messages.at(-1)]);
        onExpand({ path: ["a"], visits: 1, value: 0.5 });
        onExpand({ path: ["a", "b"], visits: 2, value: 1 });
        return plan;
      },
    };
    const ping = { description: "", input: z.object({}), execute: () => "pong" };
    const model = scriptedModel([{ toolCalls: [{ name: "ping" }] }, "Won.", "Hello."]);
    const log = memoryEventLog();
    const plugins = [planning(planner), { name: "tools", tools: { ping } }];
    const agent = await createAgent({ model, plugins, log });
    const events = await collectEvents(agent.stream({ prompt: "Please win", sessionId: "s", seed: 4 }));
    expect(typesOf(events).slice(0, 7)).toEqual([
      "episode-start",
      "plan-start",
      "plan-expand",
      "plan-expand",
      "plan-end",
      "step-start",
      "observation",
    ]);
    expect(events[1]).toMatchObject({ goal: "win", stepIndex: -1 });
    expect(events[3]).toMatchObject({ path: ["a", "b"], visits: 2, value: 1 });
    expect(events[4]).toMatchObject({ plan });
    expect(typesOf(events).filter((type) => type === "plan-start")).toHaveLength(1);
    expect(asked).toEqual([["win", mixSeed(4, "plan"), { role: "user", content: "Please win" }]]);
    expect(model.requests[0]!.messages).toEqual([
      { role: "user", content: "Please win" },
      { role: "system", content: "Plan: a, then b." },
    ]);
    const other = await collectEvents(agent.stream({ prompt: "Hi", sessionId: "t" }));
    expect(typesOf(other)).not.toContain("plan-start");
  });

  it("that finds nothing, or fails, leaves the run as it is", async () => {
    const without = async (planner: Planner) => {
      const model = scriptedModel(["Hello."]);
      const agent = await createAgent({ model, plugins: [planning(planner)] });
      const events = await collectEvents(agent.stream({ prompt: "Hi" }));
      expect(model.requests[0]!.messages).toEqual([{ role: "user", content: "Hi" }]);
      expect(events.at(-1)).toMatchObject({ stopReason: "answered" });
      return typesOf(events).slice(0, 5);
    };
    expect(await without({ goalOf: () => "win", plan: async () => undefined })).toEqual([
      "episode-start",
      "plan-start",
      "plan-end",
      "step-start",
      "observation",
    ]);
    expect(await without({ goalOf: () => "win", plan: () => Promise.reject(new Error("lost")) })).toEqual([
      "episode-start",
      "plan-start",
      "error",
      "plan-end",
      "step-start",
    ]);
    const blind = () => {
      throw new Error("blind");
    };
    expect(await without({ goalOf: blind, plan: async () => undefined })).toEqual([
      "episode-start",
      "error",
      "step-start",
      "observation",
      "text-delta",
    ]);
  });
});
