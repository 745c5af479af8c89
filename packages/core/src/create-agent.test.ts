import { describe, expect, it } from "vitest";
import { z } from "zod";
import {
  type AgentEvent,
  type AgentOptions,
  createAgent,
  defineTool,
  type EventLog,
  ModelError,
  memoryEventLog,
  mixSeed,
} from "./index.js";
import { collectEvents, manualClock, readLog, scriptedModel } from "./testing/index.js";

const add = defineTool({
  description: "Adds two numbers.",
  input: z.object({ a: z.number(), b: z.number() }),
  execute: ({ a, b }) => String(a + b),
});
const sums = { name: "sums", tools: { add } };
const typesOf = (events: readonly AgentEvent[]) => events.map(({ type }) => type);
const sumScript = [
  { text: ["Let me ", "add."], toolCalls: [{ name: "add", input: { a: 2, b: 2 } }] },
  { text: ["It ", "is 4."] },
];
const runOnce = async (options: AgentOptions, request = {}) => {
  const agent = await createAgent({ seed: 1, clock: manualClock(1000), ...options });
  const run = agent.stream({ prompt: "2+2?", sessionId: "s", ...request });
  const events = await collectEvents(run);
  return { agent, run, events, result: await run.result() };
};

describe("a run", () => {
  it("calls tools and answers, telling every step as an event", async () => {
    const model = scriptedModel(sumScript);
    const { events, result } = await runOnce({ model, instructions: "Be brief.", plugins: [sums] });
    const envelope = { time: 1000, sessionId: "s", episodeId: "s/0", policyVersion: "scripted" };
    const outside = { ...envelope, stepIndex: -1 };
    const first = { ...envelope, stepIndex: 0 };
    const second = { ...envelope, stepIndex: 1 };
    const call = { id: "call-1", name: "add", input: { a: 2, b: 2 } };
    const said = { role: "assistant", content: "Let me add.", toolCalls: [call] };
    const answered = { role: "assistant", content: "It is 4." };
    const toolResult = { callId: "call-1", toolName: "add", content: "4", isError: false, durationMs: 0 };
    const shown = { role: "tool", toolCallId: "call-1", toolName: "add", content: "4" };
    const nextState = { kind: "tool", results: [toolResult] };
    const question = [
      { role: "system", content: "Be brief.", pinned: true },
      { role: "user", content: "2+2?" },
    ];
    // the scripted model counts its messages in, and its deltas out
    const firstCost = { inputTokens: 2, outputTokens: 2, dollars: 0, durationMs: 0 };
    const secondCost = { inputTokens: 4, outputTokens: 2, dollars: 0, durationMs: 0 };
    const cost = { inputTokens: 6, outputTokens: 4, dollars: 0, durationMs: 0 };
    const seed = mixSeed(1, "s/0");
    expect(events).toEqual(
      [
        { ...outside, type: "episode-start", prompt: "2+2?", seed },
        { ...first, type: "step-start" },
        { ...first, type: "observation", added: question },
        { ...first, type: "text-delta", text: "Let me " },
        { ...first, type: "text-delta", text: "add." },
        {
          ...first,
          type: "action",
          action: { kind: "tool", message: said, calls: [call] },
          finishReason: "tool-calls",
        },
        { ...first, type: "tool-call", call },
        { ...first, type: "tool-result", result: toolResult },
        { ...first, type: "next-state", of: { episodeId: "s/0", stepIndex: 0 }, nextState },
        { ...first, type: "step-end", cost: firstCost },
        { ...second, type: "step-start" },
        { ...second, type: "observation", added: [said, shown] },
        { ...second, type: "text-delta", text: "It " },
        { ...second, type: "text-delta", text: "is 4." },
        { ...second, type: "action", action: { kind: "answer", message: answered }, finishReason: "stop" },
        { ...second, type: "step-end", cost: secondCost },
        { ...outside, type: "episode-end", stopReason: "answered", answer: "It is 4.", cost },
      ].map((event, n) => ({ id: `s/0#${n}`, ...event })),
    );
    expect(result).toEqual({
      id: "s/0",
      sessionId: "s",
      stopReason: "answered",
      answer: "It is 4.",
      steps: [
        {
          index: 0,
          observation: { messages: question },
          action: { kind: "tool", message: said, calls: [call] },
          nextState,
          signals: [],
          policyVersion: "scripted",
          cost: firstCost,
        },
        {
          index: 1,
          observation: { messages: [...question, said, shown] },
          action: { kind: "answer", message: answered },
          signals: [],
          policyVersion: "scripted",
          cost: secondCost,
        },
      ],
    });
    expect(model.requests.map((request) => request.seed)).toEqual([mixSeed(seed, 0), mixSeed(seed, 1)]);
    expect(model.requests[0]!.tools).toEqual([
      {
        name: "add",
        description: "Adds two numbers.",
        inputSchema: {
          type: "object",
          properties: { a: { type: "number" }, b: { type: "number" } },
          required: ["a", "b"],
        },
      },
    ]);
    model.assertExhausted();
  });

  it("is the same run again with the same seed, byte for byte, and another with another", async () => {
    const record = async (seed: number) => {
      const { events } = await runOnce({ model: scriptedModel(sumScript), plugins: [sums], seed });
      return JSON.stringify(events);
    };
    expect(await record(5)).toBe(await record(5));
    expect(await record(5)).not.toBe(await record(6));
  });

  it("logs every event but text-delta, before the end is told", async () => {
    const log = memoryEventLog();
    const { events } = await runOnce({ model: scriptedModel(sumScript), plugins: [sums], log });
    const kept = events.filter(({ type }) => type !== "text-delta");
    expect((await readLog(log)).map(({ event }) => event)).toEqual(kept);
  });

  it("goes on without a listener, and can be iterated afterwards, more than once", async () => {
    const agent = await createAgent({ model: scriptedModel(["Hello."]) });
    const run = agent.stream({ prompt: "Hi" });
    expect(await run.result()).toMatchObject({ answer: "Hello.", stopReason: "answered" });
    expect(await collectEvents(run)).toHaveLength(7);
    expect(await collectEvents(run)).toHaveLength(7);
  });

  it("carries token records, prices and the version that sampled", async () => {
    const tokens = { promptIds: [1], ids: [2, 3], logProbs: [-0.5, -0.25], mask: [1, 1], temperature: 1 };
    const usage = { inputTokens: 10, outputTokens: 2, dollars: 0.5 };
    const model = scriptedModel([{ text: "hi", tokens, usage, policyVersion: "v7" }]);
    const { events, result } = await runOnce({ model });
    expect(events.find(({ type }) => type === "action")).toMatchObject({ tokens, policyVersion: "v7" });
    expect(result.steps[0]).toMatchObject({ tokens, policyVersion: "v7", cost: { dollars: 0.5 } });
    expect(events.at(-1)).toMatchObject({ cost: { inputTokens: 10, outputTokens: 2, dollars: 0.5 } });
  });

  it("hands the settings of sampling to the model, and lets hooks rewrite the request in plugin order", async () => {
    const model = scriptedModel(["ok"]);
    const adding = (name: string) => ({
      name,
      hooks: {
        beforeModel: ({ request }: { request: Parameters<typeof model.generate>[0] }) => ({
          ...request,
          messages: [...request.messages, { role: "system" as const, content: name }],
        }),
      },
    });
    const { events } = await runOnce({
      model,
      temperature: 0.3,
      maxTokens: 9,
      topP: 0.9,
      stop: ["\n"],
      plugins: [adding("one"), adding("two"), { name: "looks on", hooks: { beforeModel: () => undefined } }],
    });
    expect(model.requests[0]).toMatchObject({ temperature: 0.3, maxTokens: 9, topP: 0.9, stop: ["\n"] });
    await expect(createAgent({ model, minP: 2 })).rejects.toThrow("minP must be between 0 and 1, not 2");
    expect(model.requests[0]!.messages.map(({ content }) => content)).toEqual(["2+2?", "one", "two"]);
    expect(events.find(({ type }) => type === "observation")).toMatchObject({ added: [{ content: "2+2?" }] });
  });

  it("isolates a listener that throws, reporting it once", async () => {
    const agent = await createAgent({ model: scriptedModel([{ text: ["a", "b", "c"] }]) });
    const errors: AgentEvent[] = [];
    agent.events.on("error", (event) => errors.push(event));
    agent.events.on("text-delta", () => {
      throw new Error("broken listener");
    });
    agent.events.onAny(async () => {
      throw new Error("broken promise");
    });
    expect(await agent.stream({ prompt: "Hi" }).result()).toMatchObject({ answer: "abc", stopReason: "answered" });
    expect(errors).toMatchObject([
      { code: "event/listener-failed", message: 'a listener of "episode-start" threw: broken promise' },
      { code: "event/listener-failed", message: 'a listener of "text-delta" threw: broken listener' },
    ]);
  });
});

describe("a run whose model fails", () => {
  const failed = ["episode-start", "step-start", "observation", "error", "step-end", "episode-end"];

  it("ends failed, with one episode-end, last", async () => {
    const model = scriptedModel([{ error: new ModelError("model broke") }]);
    const { events, result } = await runOnce({ model });
    expect(typesOf(events)).toEqual(failed);
    expect(events.at(-1)).toMatchObject({ stopReason: "failed" });
    expect(result).toMatchObject({
      stopReason: "failed",
      steps: [],
      error: { code: "model/failed", message: "model broke" },
    });
  });

  it("wraps what is not an AgentError, and survives a model that throws or answers nonsense", async () => {
    const broken = (generate: never) => ({ name: "broken", policyVersion: () => "broken", generate });
    const throwing = broken((() => {
      throw new Error("at once");
    }) as never);
    const { events, result } = await runOnce({ model: throwing });
    expect(typesOf(events)).toEqual(failed);
    expect(result.error).toEqual({ code: "model/failed", message: 'model "broken" failed: at once' });
    const nonsense = broken((() => ({ async *[Symbol.asyncIterator]() {}, response: async () => undefined })) as never);
    expect((await runOnce({ model: nonsense })).result.error).toMatchObject({
      code: "model/failed",
      message: expect.stringContaining("a response without a message"),
    });
  });

  it("tries again when that can help, waiting longer each time, and starts the text over", async () => {
    const clock = manualClock();
    const busy = () => new ModelError("busy", { retryable: true });
    const model = scriptedModel([
      { text: "Hel", error: busy() },
      { error: new ModelError("slow down", { retryable: true, retryAfterMs: 3000 }) },
      "Hello.",
    ]);
    const { events, result } = await runOnce({ model, clock });
    expect(typesOf(events)).toEqual([
      "episode-start",
      "step-start",
      "observation",
      "text-delta",
      "error",
      "error",
      "text-delta",
      "action",
      "step-end",
      "episode-end",
    ]);
    expect(events[4]).toMatchObject({ message: "busy (trying again in 500 ms)" });
    expect(clock.sleeps).toEqual([500, 3000]);
    expect(result).toMatchObject({ stopReason: "answered", answer: "Hello." });
  });

  it("gives up after the third failure, or when it is told to wait for minutes", async () => {
    const busy = { error: new ModelError("busy", { retryable: true }) };
    const model = scriptedModel([busy, busy, busy, "never"]);
    expect((await runOnce({ model })).result).toMatchObject({ stopReason: "failed", error: { message: "busy" } });
    expect(model.requests).toHaveLength(3);
    const patient = scriptedModel([
      { error: new ModelError("later", { retryable: true, retryAfterMs: 3_600_000 }) },
      "never",
    ]);
    expect((await runOnce({ model: patient })).result.error).toEqual({ code: "model/failed", message: "later" });
    expect(patient.requests).toHaveLength(1);
  });

  it("keeps the steps that were made", async () => {
    const model = scriptedModel([sumScript[0]!, { error: new ModelError("model broke") }]);
    const { result } = await runOnce({ model, plugins: [sums] });
    expect(result.steps).toHaveLength(1);
  });

  it("can be followed by another run of the session, whose context is sound", async () => {
    const model = scriptedModel([{ error: new ModelError("model broke") }, "Hello."]);
    const { agent } = await runOnce({ model });
    expect(await agent.stream({ prompt: "Again?", sessionId: "s" }).result()).toMatchObject({ answer: "Hello." });
    expect(model.requests[1]!.messages.map(({ content }) => content)).toEqual(["2+2?", "Again?"]);
  });

  it("fails when a hook before the model throws, without calling the model", async () => {
    const model = scriptedModel([]);
    const guard = { name: "guard", hooks: { beforeModel: () => Promise.reject(new Error("no policy")) } };
    expect((await runOnce({ model, plugins: [guard] })).result.error).toEqual({
      code: "hook/failed",
      message: "the model was not called, because a hook failed: no policy",
    });
  });
});

describe("a run whose log fails", () => {
  const failingLog = (shouldFail: (event: AgentEvent) => boolean): EventLog => {
    const log = memoryEventLog();
    return {
      ...log,
      get nextOffset() {
        return log.nextOffset;
      },
      append: (event) => (shouldFail(event) ? Promise.reject(new Error("disk full")) : log.append(event)),
    };
  };
  const error = { code: "log/append-failed", message: "the event log did not take an event: disk full" };

  it("stops before the next model call and says so", async () => {
    const model = scriptedModel(sumScript);
    const log = failingLog(({ type }) => type === "action");
    const { events, result } = await runOnce({ model, plugins: [sums], log });
    expect(result).toMatchObject({ stopReason: "failed", error });
    expect(typesOf(events).slice(-3)).toEqual(["step-end", "error", "episode-end"]);
    expect(model.requests).toHaveLength(1);
  });

  it("is not told as answered when the log refuses only the end", async () => {
    const log = failingLog(({ type }) => type === "episode-end");
    const { events, result } = await runOnce({ model: scriptedModel(["Hello."]), log });
    expect(result).toMatchObject({ stopReason: "failed", answer: "Hello.", error });
    expect(events.at(-1)).toMatchObject({ type: "episode-end", stopReason: "failed" });
    expect(events.at(-2)).toMatchObject({ type: "error", ...error });
    expect(events.filter(({ type }) => type === "episode-end")).toHaveLength(1);
  });

  it("fails when the session cannot be read back, and leaves the log alone", async () => {
    const log = memoryEventLog();
    await runOnce({ model: scriptedModel(["Hello."]), log });
    let reads = 0;
    const unreadable: EventLog = {
      ...log,
      get nextOffset() {
        return log.nextOffset;
      },
      read: (from) => {
        if (reads++ > 0) throw new Error("disk gone");
        return log.read(from);
      },
    };
    const before = log.nextOffset;
    const { events, result } = await runOnce({ model: scriptedModel([]), log: unreadable });
    expect(typesOf(events)).toEqual(["episode-start", "error", "episode-end"]);
    expect(result).toMatchObject({
      id: "s/1",
      stopReason: "failed",
      error: { message: expect.stringContaining("disk gone") },
    });
    expect(log.nextOffset).toBe(before);
  });
});

describe("the budget of a run", () => {
  const call = { toolCalls: [{ name: "add", input: { a: 1, b: 1 } }] };
  const stopped = async (budget: AgentOptions["budget"], advance = 0) => {
    const clock = manualClock();
    const model = scriptedModel(
      Array.from({ length: 20 }, () => () => {
        clock.advance(advance);
        return { ...call, usage: { inputTokens: 90, outputTokens: 10, dollars: 0.1 } };
      }),
    );
    const { result } = await runOnce({ model, plugins: [sums], clock, ...(budget && { budget }) });
    return { stopReason: result.stopReason, calls: model.requests.length };
  };

  it("is checked before each model call: steps, tokens, money and time", async () => {
    expect(await stopped(undefined)).toEqual({ stopReason: "max-steps", calls: 16 });
    expect(await stopped({ maxSteps: 3 })).toEqual({ stopReason: "max-steps", calls: 3 });
    // 100 tokens and 0.1 dollars a call
    expect(await stopped({ maxTotalTokens: 250 })).toEqual({ stopReason: "budget", calls: 3 });
    expect(await stopped({ maxDollars: 0.35 })).toEqual({ stopReason: "budget", calls: 4 });
    expect(await stopped({ maxDurationMs: 50 }, 20)).toEqual({ stopReason: "budget", calls: 3 });
  });

  it.each([{ budget: { maxSteps: 0 } }, { maxContextTokens: Number.NaN }])(
    "is refused at the start when it makes no sense: %o",
    async (options) => {
      await expect(createAgent({ model: scriptedModel([]), ...options })).rejects.toMatchObject({
        code: "agent/invalid-option",
        message: expect.stringMatching(/must be more than 0/),
      });
    },
  );
});
