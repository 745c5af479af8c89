import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import {
  type AgentEvent,
  type AgentOptions,
  createAgent,
  type EventLog,
  memoryEventLog,
  openEventLog,
} from "./index.js";
import { rebuildSession } from "./session.js";
import { collectEvents, manualClock, readLog, scriptedModel } from "./testing/index.js";

const start = (options: Partial<AgentOptions> & Pick<AgentOptions, "model">) =>
  createAgent({ clock: manualClock(), seed: 1, ...options });
const contents = (messages: readonly { content: string }[]) => messages.map(({ content }) => content);
const eventsOf = async (log: EventLog) => (await readLog(log)).map(({ event }) => event);

describe("the runs of one session", () => {
  it("share a conversation, and each prompt is the next state of the last step", async () => {
    const model = scriptedModel(["Hello Ann.", "You are Ann."]);
    const agent = await start({ model, instructions: "Be kind." });
    await agent.stream({ prompt: "I am Ann.", sessionId: "s" }).result();
    const events = await collectEvents(agent.stream({ prompt: "Who am I?", sessionId: "s" }));
    expect(contents(model.requests[1]!.messages)).toEqual(["Be kind.", "I am Ann.", "Hello Ann.", "Who am I?"]);
    expect(events.slice(0, 4)).toMatchObject([
      { type: "episode-start", episodeId: "s/1" },
      {
        type: "next-state",
        stepIndex: -1,
        of: { episodeId: "s/0", stepIndex: 0 },
        nextState: { kind: "user", text: "Who am I?" },
      },
      { type: "step-start" },
      { type: "observation", added: [{ content: "Hello Ann." }, { content: "Who am I?" }] },
    ]);
  });

  it("go one after the other, those of different sessions side by side", async () => {
    const notes: string[] = [];
    const model = scriptedModel(
      Array.from({ length: 3 }, () => async ({ messages }: { messages: readonly { content: string }[] }) => {
        const prompt = messages.at(-1)!.content;
        notes.push(`${prompt}…`);
        for (let wait = 20; wait > 0; wait--) await Promise.resolve();
        notes.push(`…${prompt}`);
        return "ok";
      }),
    );
    const agent = await start({ model });
    const runs = [
      agent.stream({ prompt: "a1", sessionId: "a" }),
      agent.stream({ prompt: "a2", sessionId: "a" }),
      agent.stream({ prompt: "b1", sessionId: "b" }),
    ];
    expect(runs.map(({ episodeId }) => episodeId)).toEqual(["a/0", "a/1", "b/0"]);
    await Promise.all(runs.map((run) => run.result()));
    expect(notes).toEqual(["a1…", "b1…", "…a1", "…b1", "a2…", "…a2"]);
  });

  it("have sessions of their own when none is named", async () => {
    const agent = await start({ model: scriptedModel(["one", "two"]) });
    const first = agent.stream({ prompt: "1" });
    const second = agent.stream({ prompt: "2" });
    expect(first.sessionId).not.toBe(second.sessionId);
    await agent.close();
    expect((await second.result()).steps[0]!.observation.messages).toHaveLength(1);
  });

  it("are waited for when the agent closes, and no more can start", async () => {
    const agent = await start({ model: scriptedModel(["done"]) });
    const run = agent.stream({ prompt: "1" });
    let ended = false;
    agent.events.on("episode-end", () => {
      ended = true;
    });
    await agent.close();
    expect(ended).toBe(true);
    expect(await run.result()).toMatchObject({ answer: "done" });
    expect(() => agent.stream({ prompt: "2" })).toThrow(expect.objectContaining({ code: "agent/closed" }));
  });
});

describe("closing a session", () => {
  it("is the next state of its last step, once", async () => {
    const log = memoryEventLog();
    const agent = await start({ model: scriptedModel(["Hello."]), log });
    await agent.stream({ prompt: "Hi", sessionId: "s" }).result();
    await agent.closeSession("s", "idle");
    await agent.closeSession("s", "idle");
    await agent.closeSession("unheard of", "call");
    expect((await eventsOf(log)).slice(6)).toEqual([
      {
        id: "s/0#7",
        time: 0,
        sessionId: "s",
        episodeId: "s/0",
        stepIndex: -1,
        policyVersion: "scripted",
        type: "next-state",
        of: { episodeId: "s/0", stepIndex: 0 },
        nextState: { kind: "closed", by: "idle" },
      },
    ]);
  });
});

describe("feedback", () => {
  it("judges the last step of a run, also in another process over the same log", async () => {
    const log = memoryEventLog();
    const call = { toolCalls: [{ name: "ping" }] };
    const tools = { ping: { description: "", input: z.object({}), execute: () => "pong" } };
    const agent = await start({ model: scriptedModel([call, "Hello."]), log, plugins: [{ name: "tools", tools }] });
    const run = agent.stream({ prompt: "Hi", sessionId: "s" });
    await run.feedback({ score: -1, correction: "say the delivery date first" });
    const cold = await start({ model: scriptedModel([]), log });
    await cold.feedback("s/0", { score: 1 });
    const of = { episodeId: "s/0", stepIndex: 1 };
    const [first, second] = (await eventsOf(log)).slice(-2);
    expect(first).toMatchObject({ type: "feedback", of, score: -1, correction: "say the delivery date first" });
    expect(second).toMatchObject({ type: "feedback", of, score: 1, episodeId: "s/0", stepIndex: -1 });
    expect(Number(second!.id.split("#")[1])).toBe(Number(first!.id.split("#")[1]) + 1);
  });

  it("is refused when the episode is unknown, took no step, or the feedback says nothing", async () => {
    const agent = await start({ model: scriptedModel([{ error: new Error("down") }]) });
    await agent.stream({ prompt: "Hi", sessionId: "s" }).result();
    await expect(agent.feedback("s/7", { score: 1 })).rejects.toMatchObject({ code: "agent/unknown-episode" });
    await expect(agent.feedback("nonsense", { score: 1 })).rejects.toMatchObject({ code: "agent/unknown-episode" });
    await expect(agent.feedback("s/0", { score: 1 })).rejects.toMatchObject({ code: "agent/no-step" });
    await expect(agent.feedback("s/0", {})).rejects.toMatchObject({ code: "agent/invalid-feedback" });
    await expect(agent.feedback("s/0", { score: 2 })).rejects.toMatchObject({ code: "agent/invalid-feedback" });
  });
});

describe("a session in a cold process", () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "sessions-"));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  const lookup = { description: "", input: z.object({ city: z.string() }), execute: () => "12 °C" };
  const plugins = [{ name: "weather", tools: { lookup } }];
  /** One process: opens the log, makes an agent, and closes both. */
  const inProcess = async <T>(
    options: Partial<AgentOptions> & Pick<AgentOptions, "model">,
    body: (agent: Awaited<ReturnType<typeof start>>, log: EventLog) => Promise<T>,
  ): Promise<T> => {
    const log = await openEventLog(directory);
    const agent = await start({ log, plugins, instructions: "Be brief.", ...options });
    try {
      return await body(agent, log);
    } finally {
      await agent.close();
      await log.close();
    }
  };

  it("goes on with the context it had, message for message", async () => {
    const script = [
      { text: "Looking.", toolCalls: [{ name: "lookup", input: { city: "Rome" } }] },
      "12 degrees.",
      "Warm enough.",
    ];
    const warm = scriptedModel(script);
    const agent = await start({ model: warm, plugins, instructions: "Be brief." });
    for (const prompt of ["Rome?", "A coat?"]) await agent.stream({ prompt, sessionId: "s" }).result();

    await inProcess({ model: scriptedModel(script.slice(0, 2)) }, (one) =>
      one.stream({ prompt: "Rome?", sessionId: "s" }).result(),
    );
    const cold = scriptedModel(script.slice(2));
    await inProcess({ model: cold }, async (one, log) => {
      const run = one.stream({ prompt: "A coat?", sessionId: "s" });
      expect(run.episodeId).toBe("s/1");
      const events = await collectEvents(run);
      expect(events[1]).toMatchObject({ type: "next-state", of: { episodeId: "s/0", stepIndex: 1 } });
      const logged = (await eventsOf(log)).map(({ id }) => id);
      expect(new Set(logged).size).toBe(logged.length);
    });
    expect(cold.requests[0]).toEqual(warm.requests[2]);
  });

  it("replaces instructions that have changed since, and says so", async () => {
    await inProcess({ model: scriptedModel(["Hello."]) }, (one) =>
      one.stream({ prompt: "Hi", sessionId: "s" }).result(),
    );
    const model = scriptedModel(["Hello!", "Hello again!"]);
    await inProcess({ model, instructions: "Be loud." }, async (one) => {
      const events = await collectEvents(one.stream({ prompt: "Hi again", sessionId: "s" }));
      expect(events[1]).toMatchObject({
        type: "compaction",
        removed: 1,
        messages: [{ content: "Be loud.", pinned: true }, { content: "Hi" }, { content: "Hello." }],
      });
    });
    await inProcess({ model, instructions: "Be loud." }, (one) =>
      one.stream({ prompt: "Once more", sessionId: "s" }).result(),
    );
    expect(contents(model.requests[1]!.messages)).toEqual([
      "Be loud.",
      "Hi",
      "Hello.",
      "Hi again",
      "Hello!",
      "Once more",
    ]);
  });

  it("is sound after a process that died between a tool call and its result", async () => {
    await inProcess({ model: scriptedModel([]) }, async (_, log) => {
      const envelope = { time: 0, sessionId: "s", episodeId: "s/0", policyVersion: "v" };
      const call = { id: "c", name: "lookup", input: {} };
      const message = { role: "assistant", content: "", toolCalls: [call] } as const;
      const events: AgentEvent[] = [
        { ...envelope, id: "s/0#0", stepIndex: -1, type: "episode-start", prompt: "Rome?", seed: 1 },
        { ...envelope, id: "s/0#1", stepIndex: 0, type: "step-start" },
        {
          ...envelope,
          id: "s/0#2",
          stepIndex: 0,
          type: "observation",
          added: [
            { role: "system", content: "Be brief.", pinned: true },
            { role: "user", content: "Rome?" },
          ],
        },
        {
          ...envelope,
          id: "s/0#3",
          stepIndex: 0,
          type: "action",
          action: { kind: "tool", message, calls: [call] },
          finishReason: "tool-calls",
        },
        { ...envelope, id: "s/0#4", stepIndex: 0, type: "tool-call", call },
      ];
      for (const event of events) await log.append(event);
    });
    const model = scriptedModel(["Sorry."]);
    await inProcess({ model }, (one) => one.stream({ prompt: "And?", sessionId: "s" }).result());
    expect(contents(model.requests[0]!.messages)).toEqual(["Be brief.", "Rome?", "And?"]);
  });

  it("reads back the same session that the agent would have kept, wherever its runs stopped", async () => {
    const log = memoryEventLog();
    const model = scriptedModel([
      { toolCalls: [{ name: "lookup", input: { city: "Rome" } }] },
      { error: new Error("down") },
      "Hello.",
      "x".repeat(400),
      "short",
    ]);
    const agent = await start({ model, log, plugins, instructions: "Be brief.", maxContextTokens: 60 });
    const seen: unknown[] = [];
    const rebuilt: unknown[] = [];
    for (const prompt of ["one", "two", "three", "four"]) {
      await agent.stream({ prompt, sessionId: "s" }).result();
      const session = await rebuildSession(
        "s",
        (async function* () {
          yield* await eventsOf(log);
        })(),
      );
      rebuilt.push(contents(session.messages).slice(0, -1));
      seen.push(contents(model.requests.at(-1)!.messages));
    }
    expect(rebuilt.slice(1)).toEqual(seen.slice(1));
    // the failed run's last message is the tool's result, which nothing answered
    expect(rebuilt[0]).toEqual((seen[0] as string[]).slice(0, -1));
  });
});
