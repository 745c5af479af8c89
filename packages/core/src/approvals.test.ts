import { describe, expect, it } from "vitest";
import { z } from "zod";
import { type AgentEvent, type AgentHooks, type AgentOptions, createAgent, memoryEventLog } from "./index.js";
import { collectEvents, manualClock, readLog, scriptedModel } from "./testing/index.js";

const typesOf = (events: readonly AgentEvent[]) => events.map(({ type }) => type);
/** A shop whose refunds need a person when they are large. */
const shop = (hooks: AgentHooks = {}) => {
  const done: string[] = [];
  const tools = {
    refund: {
      description: "",
      input: z.object({ euros: z.number() }),
      needsApproval: ({ euros }: { euros: number }) => euros > 100,
      execute: ({ euros }: { euros: number }) => {
        done.push(`refund ${euros}`);
        return `refunded ${euros}`;
      },
    },
    lookup: {
      description: "",
      input: z.object({}),
      execute: () => {
        done.push("lookup");
        return "order 7";
      },
    },
  };
  return { done, plugins: [{ name: "shop", tools, hooks }] };
};
const refundScript = {
  text: "Refunding.",
  toolCalls: [{ name: "lookup" }, { name: "refund", input: { euros: 500 } }],
};
const start = (options: Partial<AgentOptions> & Pick<AgentOptions, "model">) =>
  createAgent({ clock: manualClock(), seed: 1, ...options });

describe("a run that needs approval", () => {
  it("asks, runs no call of the step, and ends awaiting it", async () => {
    const { done, plugins } = shop();
    const agent = await start({ model: scriptedModel([refundScript]), plugins });
    const run = agent.stream({ prompt: "Refund me", sessionId: "s" });
    const events = await collectEvents(run);
    expect(typesOf(events)).toEqual([
      "episode-start",
      "step-start",
      "observation",
      "text-delta",
      "action",
      "approval-request",
      "episode-end",
    ]);
    expect(events[5]).toMatchObject({
      stepIndex: 0,
      call: { id: "call-2", name: "refund", input: { euros: 500 } },
      reason: 'tool "refund" needs approval',
    });
    expect(await run.result()).toMatchObject({ stopReason: "awaiting-approval", steps: [] });
    expect(done).toEqual([]);
  });

  it("does not ask where the tool sees no need", async () => {
    const { done, plugins } = shop();
    const script = [{ toolCalls: [{ name: "refund", input: { euros: 5 } }] }, "Done."];
    const agent = await start({ model: scriptedModel(script), plugins });
    expect(await agent.stream({ prompt: "go" }).result()).toMatchObject({ stopReason: "answered" });
    expect(done).toEqual(["refund 5"]);
  });

  it.each([
    ["warm", true],
    ["cold", false],
  ])("goes on in a %s process once it is approved, as one episode", async (_, isWarm) => {
    const log = memoryEventLog();
    const { done, plugins } = shop();
    const asking = await start({
      model: scriptedModel([refundScript, "Refunded."]),
      plugins,
      log,
      budget: { maxSteps: 3 },
    });
    const asked = await asking.stream({ prompt: "Refund me", sessionId: "s", userId: "ann", seed: 9 }).result();
    const agent = isWarm ? asking : await start({ model: scriptedModel(["Refunded."]), plugins, log });
    const run = agent.resume("s/0", { approved: true });
    const events = await collectEvents(run);
    expect(typesOf(events)).toEqual([
      "tool-call",
      "tool-call",
      "tool-result",
      "tool-result",
      "next-state",
      "step-end",
      "step-start",
      "observation",
      "text-delta",
      "action",
      "step-end",
      "episode-end",
    ]);
    expect(events[0]).toMatchObject({ episodeId: "s/0", stepIndex: 0 });
    expect(events[6]).toMatchObject({ episodeId: "s/0", stepIndex: 1 });
    expect(done).toEqual(["lookup", "refund 500"]);
    const result = await run.result();
    expect(result).toMatchObject({ id: "s/0", userId: "ann", stopReason: "answered", answer: "Refunded." });
    expect(result.steps.map(({ index, action, cost }) => [index, action.kind, cost.outputTokens])).toEqual([
      [0, "tool", 1],
      [1, "answer", 1],
    ]);
    expect(result.steps[0]!.observation.messages).toEqual([{ role: "user", content: "Refund me" }]);
    expect(events.at(-1)).toMatchObject({ cost: { outputTokens: 2 } });
    const ids = (await readLog(log)).map(({ event }) => event.id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(asked.id).toBe(result.id);
  });

  it("shows the model the refusal, and runs the calls that needed none", async () => {
    const log = memoryEventLog();
    const { done, plugins } = shop();
    const model = scriptedModel([refundScript, "Sorry."]);
    const agent = await start({ model, plugins, log });
    await agent.stream({ prompt: "Refund me", sessionId: "s" }).result();
    expect(await agent.resume("s/0", { approved: false, reason: "too much" }).result()).toMatchObject({
      stopReason: "answered",
    });
    expect(done).toEqual(["lookup"]);
    expect(model.requests[1]!.messages.slice(-2)).toEqual([
      { role: "tool", toolCallId: "call-1", toolName: "lookup", content: "order 7" },
      {
        role: "tool",
        toolCallId: "call-2",
        toolName: "refund",
        content: "a person refused this call: too much",
        isError: true,
      },
    ]);
  });

  it("asks because a hook says so, with the hook's reason", async () => {
    const { done, plugins } = shop({ beforeToolCall: () => ({ kind: "ask", reason: "unusual hour" }) });
    const agent = await start({ model: scriptedModel([{ toolCalls: [{ name: "lookup" }] }, "Done."]), plugins });
    const events = await collectEvents(agent.stream({ prompt: "go", sessionId: "s" }));
    expect(events.find(({ type }) => type === "approval-request")).toMatchObject({ reason: "unusual hour" });
    expect(await agent.resume("s/0", { approved: true }).result()).toMatchObject({ answer: "Done." });
    expect(done).toEqual(["lookup"]);
  });

  it("asks again when the call that would run is not the one that was approved", async () => {
    const log = memoryEventLog();
    const asking = shop();
    const model = scriptedModel([{ toolCalls: [{ name: "refund", input: { euros: 500 } }] }]);
    await (await start({ model, plugins: asking.plugins, log })).stream({ prompt: "go", sessionId: "s" }).result();
    const { done, plugins } = shop({ beforeToolCall: () => ({ kind: "rewrite", input: { euros: 9999 } }) });
    const cold = await start({ model: scriptedModel([]), plugins, log });
    const run = cold.resume("s/0", { approved: true });
    expect(typesOf(await collectEvents(run))).toEqual(["approval-request", "episode-end"]);
    expect(await run.result()).toMatchObject({ stopReason: "awaiting-approval" });
    expect(done).toEqual([]);
  });

  it("is over when the user goes on without approving", async () => {
    const log = memoryEventLog();
    const { done, plugins } = shop();
    const model = scriptedModel([refundScript, "Fine."]);
    const agent = await start({ model, plugins, log });
    await agent.stream({ prompt: "Refund me", sessionId: "s" }).result();
    const events = await collectEvents(agent.stream({ prompt: "Never mind", sessionId: "s" }));
    expect(events[1]).toMatchObject({
      type: "next-state",
      of: { episodeId: "s/0", stepIndex: 0 },
      nextState: { kind: "user", text: "Never mind" },
    });
    expect(model.requests[1]!.messages.slice(2)).toMatchObject([
      { role: "tool", toolCallId: "call-1", isError: true },
      { role: "tool", toolCallId: "call-2", isError: true },
      { role: "user", content: "Never mind" },
    ]);
    expect(done).toEqual([]);
    const cold = await start({ model: scriptedModel([]), plugins, log });
    for (const one of [agent, cold]) {
      expect(await one.resume("s/0", { approved: true }).result()).toMatchObject({
        stopReason: "failed",
        error: { code: "agent/not-waiting" },
      });
    }
  });

  it("never runs an approved call twice, even when the process dies while it runs", async () => {
    const log = memoryEventLog();
    const { plugins } = shop();
    const agent = await start({ model: scriptedModel([refundScript, "Refunded."]), plugins, log });
    await agent.stream({ prompt: "Refund me", sessionId: "s" }).result();
    await agent.resume("s/0", { approved: true }).result();
    const records = await readLog(log);
    const firstCall = records.findIndex(({ event }) => event.type === "tool-call");
    const cut = memoryEventLog();
    for (const { event } of records.slice(0, firstCall + 1)) await cut.append(event);
    const later = shop();
    const model = scriptedModel(["Sorry."]);
    const cold = await start({ model, plugins: later.plugins, log: cut });
    expect(await cold.resume("s/0", { approved: true }).result()).toMatchObject({
      error: { code: "agent/not-waiting" },
    });
    expect(later.done).toEqual([]);
    await cold.stream({ prompt: "And?", sessionId: "s" }).result();
    expect(model.requests[0]!.messages.map(({ content }) => content)).toEqual(["Refund me", "And?"]);
  });

  it("can still be resumed after the session was closed for idling", async () => {
    const { done, plugins } = shop();
    const agent = await start({ model: scriptedModel([refundScript, "Refunded."]), plugins });
    await agent.stream({ prompt: "Refund me", sessionId: "s" }).result();
    await agent.closeSession("s", "idle");
    expect(await agent.resume("s/0", { approved: true }).result()).toMatchObject({ stopReason: "answered" });
    expect(done).toEqual(["lookup", "refund 500"]);
  });

  it("cannot be resumed twice, and an episode that does not wait cannot be resumed at all", async () => {
    const log = memoryEventLog();
    const { done, plugins } = shop();
    const agent = await start({ model: scriptedModel([refundScript, "Refunded."]), plugins, log });
    await agent.stream({ prompt: "Refund me", sessionId: "s" }).result();
    const runs = [agent.resume("s/0", { approved: true }), agent.resume("s/0", { approved: true })];
    const results = await Promise.all(runs.map((run) => run.result()));
    expect(results.map(({ stopReason }) => stopReason)).toEqual(["answered", "failed"]);
    expect(done).toEqual(["lookup", "refund 500"]);
    const logged = log.nextOffset;
    await expect(collectEvents(agent.resume("nobody/0", { approved: true }))).rejects.toMatchObject({
      code: "agent/not-waiting",
      message: 'episode "nobody/0" does not wait for approval; it cannot be resumed',
    });
    expect(log.nextOffset).toBe(logged);
  });
});
