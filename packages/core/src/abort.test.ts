import { afterEach, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import {
  type AgentEvent,
  createAgent,
  type LanguageModel,
  MEMORY,
  type Memory,
  PLANNER,
  type Planner,
  type Plugin,
} from "./index.js";
import { collectEvents, manualClock, scriptedModel } from "./testing/index.js";

const typesOf = (events: readonly AgentEvent[]) => events.map(({ type }) => type);
/** A run that is aborted by the first event of `type`. */
const abortedAt = async (type: string, model: LanguageModel, plugins: readonly Plugin[] = []) => {
  const agent = await createAgent({ model, plugins, clock: manualClock() });
  const controller = new AbortController();
  agent.events.onAny((event) => {
    if (event.type === type) controller.abort(new Error("the user left"));
  });
  const request = { prompt: "go", sessionId: "s", userId: "ann", abortSignal: controller.signal };
  const run = agent.stream(request);
  const events = await collectEvents(run);
  return { agent, events, result: await run.result() };
};
const ended = ["abort", "episode-end"];
afterEach(() => void vi.useRealTimers());

describe("an abort", () => {
  it("before the run begins stops it before anything is called", async () => {
    const controller = new AbortController();
    controller.abort();
    const model = scriptedModel([]);
    const agent = await createAgent({ model });
    const run = agent.stream({ prompt: "go", abortSignal: controller.signal });
    expect(typesOf(await collectEvents(run))).toEqual(["episode-start", ...ended]);
    expect(await run.result()).toMatchObject({ stopReason: "aborted", steps: [] });
  });

  it("while the model writes keeps the text and the usage so far", async () => {
    const model = scriptedModel([{ text: ["Once ", "upon"], hang: true }, "Again."]);
    const { agent, events, result } = await abortedAt("text-delta", model);
    expect(typesOf(events)).toEqual([
      "episode-start",
      "step-start",
      "observation",
      "text-delta",
      "text-delta",
      "action",
      "step-end",
      ...ended,
    ]);
    expect(events.find(({ type }) => type === "action")).toMatchObject({
      finishReason: "aborted",
      action: { kind: "answer", message: { content: "Once upon" } },
    });
    expect(events.at(-2)).toMatchObject({ reason: "the user left" });
    expect(result).toMatchObject({ stopReason: "aborted", answer: "Once upon" });
    expect(result.steps[0]!.cost).toMatchObject({ inputTokens: 1, outputTokens: 2 });
    expect(events.at(-1)).toMatchObject({ stopReason: "aborted", cost: { inputTokens: 1, outputTokens: 2 } });

    await agent.stream({ prompt: "more", sessionId: "s" }).result();
    expect(model.requests[1]!.messages.map(({ content }) => content)).toEqual(["go", "Once upon", "more"]);
  });

  it("is final even for a model that does not heed it, or that answers it with an error", async () => {
    vi.useFakeTimers();
    const deaf: LanguageModel = {
      name: "deaf",
      policyVersion: () => "deaf",
      generate: () => ({
        response: () => new Promise(() => {}),
        async *[Symbol.asyncIterator]() {
          yield { type: "text-delta", text: "Once " };
          await new Promise(() => {});
        },
      }),
    };
    const waiting = abortedAt("text-delta", deaf);
    await vi.advanceTimersByTimeAsync(1000);
    expect((await waiting).result).toMatchObject({ stopReason: "aborted", answer: "Once " });
    const rejecting = scriptedModel([
      (_, { signal }) =>
        new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    ]);
    const { events, result } = await abortedAt("observation", rejecting);
    expect(result).toMatchObject({ stopReason: "aborted", answer: "" });
    expect(typesOf(events)).not.toContain("error");
  });

  it("reaches the tools, also those that do not heed it, and leaves a sound context", async () => {
    const heard: string[] = [];
    const waits = (name: string) => ({
      description: "",
      input: z.object({}),
      execute: (_: unknown, { signal }: { signal: AbortSignal }) => {
        signal.addEventListener("abort", () => heard.push(name));
        return new Promise(() => {});
      },
    });
    const slow = { ...waits("slow"), timeoutMs: 60_000 };
    const deaf = { ...waits("deaf"), execute: () => new Promise(() => {}) };
    const alone = { ...waits("alone"), parallel: false, execute: () => heard.push("alone ran") };
    const tools = { waits: waits("waits"), slow, deaf, alone };
    const model = scriptedModel([{ toolCalls: Object.keys(tools).map((name) => ({ name })) }, "Again."]);
    const agent = await createAgent({ model, plugins: [{ name: "tools", tools }], clock: manualClock() });
    const controller = new AbortController();
    const run = agent.stream({ prompt: "go", sessionId: "s", abortSignal: controller.signal });
    const events: AgentEvent[] = [];
    for await (const event of run) {
      events.push(event);
      if (event.type === "tool-call" && event.call.name === "alone") queueMicrotask(() => controller.abort());
    }
    expect(typesOf(events).slice(4)).toEqual([
      ...Object.keys(tools).map(() => "tool-call"),
      ...Object.keys(tools).map(() => "tool-result"),
      "next-state",
      "step-end",
      ...ended,
    ]);
    expect(heard.sort()).toEqual(["slow", "waits"]);
    const result = await run.result();
    expect(result.steps[0]!.nextState).toMatchObject({
      results: Object.keys(tools).map((toolName) => ({ toolName, isError: true, errorCode: "tool/aborted" })),
    });
    expect(await agent.stream({ prompt: "again", sessionId: "s" }).result()).toMatchObject({ answer: "Again." });
    expect(model.requests[1]!.messages).toHaveLength(1 + 1 + 4 + 1);
  });

  it("ends the wait before another try", async () => {
    const error = Object.assign(new Error("busy"), { [Symbol.for("afterstate.error")]: true, retryable: true });
    const { events } = await abortedAt("error", scriptedModel([{ error }, "never"]));
    expect(typesOf(events).slice(3)).toEqual(["error", "action", "step-end", ...ended]);
  });

  it("reaches planner and memory, and leaves the prompt out of the context", async () => {
    const signals: AbortSignal[] = [];
    const hang = ({ signal }: { signal: AbortSignal }) => {
      signals.push(signal);
      return new Promise<never>(() => {});
    };
    const planner: Planner = { goalOf: () => "win", plan: hang };
    const model = scriptedModel(["Hello."]);
    const planning: Plugin = { name: "p", provides: [PLANNER], setup: ({ provide }) => provide(PLANNER, planner) };
    const inPlan = await abortedAt("plan-start", model, [planning]);
    expect(typesOf(inPlan.events)).toEqual(["episode-start", "plan-start", "plan-end", ...ended]);
    expect(inPlan.result.stopReason).toBe("aborted");

    const memory: Memory = { recall: hang, remember: async () => [] };
    const remembering: Plugin = { name: "m", provides: [MEMORY], setup: ({ provide }) => provide(MEMORY, memory) };
    const inRecall = await abortedAt("episode-start", model, [remembering]);
    expect(typesOf(inRecall.events)).toEqual(["episode-start", ...ended]);
    expect(signals.every(({ aborted }) => aborted)).toBe(true);

    const again = await inRecall.agent.stream({ prompt: "anew", sessionId: "s" }).result();
    expect(again.steps[0]!.observation.messages).toEqual([{ role: "user", content: "anew" }]);
  });
});
