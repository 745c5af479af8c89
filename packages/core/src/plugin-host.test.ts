import { describe, expect, it } from "vitest";
import { createAgent } from "./create-agent.js";
import type { AgentEvent } from "./event.js";
import { memoryEventLog } from "./memory-event-log.js";
import type { Plugin } from "./plugin.js";
import { MODEL, type ServiceKey, serviceKey } from "./service.js";
import { readLog, scriptedModel } from "./testing/index.js";

const A = serviceKey<string>("a");
const B = serviceKey<string>("b");
const start = (plugins: readonly Plugin[], log = memoryEventLog()) =>
  createAgent({ model: scriptedModel([]), plugins, log });

/** A plugin that notes its setup and its disposal. */
const noted = (
  notes: string[],
  name: string,
  { requires = [], provides = [] }: { requires?: ServiceKey<string>[]; provides?: ServiceKey<string>[] } = {},
  more: Partial<Plugin> = {},
): Plugin => ({
  name,
  requires,
  provides,
  setup(context) {
    notes.push(`+${name}`);
    context.onDispose(() => void notes.push(`-${name}`));
    for (const key of provides) context.provide(key, `${key.name} of ${name}`);
  },
  ...more,
});

describe("plugins", () => {
  it("are set up after those they require, otherwise as given, and disposed in reverse", async () => {
    const notes: string[] = [];
    const agent = await start([
      noted(notes, "top", { requires: [A, B] }),
      noted(notes, "free"),
      noted(notes, "b", { requires: [A], provides: [B] }),
      noted(notes, "a", { provides: [A] }),
    ]);
    await agent.close();
    await agent.close();
    expect(notes).toEqual(["+free", "+a", "+b", "+top", "-top", "-b", "-a", "-free"]);
  });

  it("get the services they require, the model among them", async () => {
    const got: unknown[] = [];
    const agent = await start([
      {
        name: "consumer",
        requires: [A, MODEL],
        setup({ get }) {
          got.push(get(A), get(MODEL).name);
        },
      },
      {
        name: "provider",
        provides: [A],
        async setup({ provide }) {
          await Promise.resolve();
          provide(A, "service");
        },
      },
    ]);
    expect(got).toEqual(["service", "scripted"]);
    await agent.close();
  });

  it.each<[string, Plugin[], string, string]>([
    [
      "a missing service",
      [{ name: "react", requires: [A] }],
      "plugin/missing-service",
      'plugin "react" requires service "a", which no plugin provides; add a plugin that provides "a"',
    ],
    [
      "a cycle",
      [
        { name: "x", requires: [] },
        { name: "one", requires: [B], provides: [A] },
        { name: "two", requires: [A], provides: [B] },
      ],
      "plugin/cycle",
      'plugins require one another in a circle: "one" → "two" → "one"; remove one of these requirements',
    ],
    [
      "two providers of one service",
      [
        { name: "one", provides: [A] },
        { name: "two", provides: [A] },
      ],
      "plugin/duplicate-service",
      'plugin "two" provides service "a", which plugin "one" provides already; leave one of them out',
    ],
    [
      "a second model",
      [{ name: "one", provides: [MODEL] }],
      "plugin/duplicate-service",
      'plugin "one" provides service "model", which the agent itself provides already; leave one of them out',
    ],
    [
      "two plugins of one name",
      [{ name: "one" }, { name: "one" }],
      "plugin/duplicate-name",
      'two plugins are named "one"; leave one out, or give one another name',
    ],
  ])("are refused before any setup when there is %s", async (_, plugins, code, message) => {
    const notes: string[] = [];
    await expect(start([noted(notes, "first"), ...plugins])).rejects.toMatchObject({ code, message });
    expect(notes).toEqual([]);
  });

  it("that are critical and fail refuse the start, and what was opened is disposed in reverse", async () => {
    const notes: string[] = [];
    const failing = noted(
      notes,
      "failing",
      {},
      {
        critical: true,
        setup({ onDispose }) {
          onDispose(() => void notes.push("-failing, half"));
          throw new Error("no disk");
        },
      },
    );
    await expect(start([noted(notes, "one"), noted(notes, "two"), failing])).rejects.toMatchObject({
      code: "plugin/setup-failed",
      message: 'plugin "failing" could not be set up: no disk; mend its options or leave it out',
    });
    expect(notes).toEqual(["+one", "+two", "-failing, half", "-two", "-one"]);
  });

  it("that others rely on are critical by themselves", async () => {
    const provider: Plugin = { name: "provider", provides: [A], setup: () => Promise.reject(new Error("no disk")) };
    await expect(start([provider, { name: "consumer", requires: [A] }])).rejects.toMatchObject({
      code: "plugin/setup-failed",
    });
  });

  it("that are not critical and fail are left out with those that need them, and reported", async () => {
    const notes: string[] = [];
    const heard: AgentEvent[] = [];
    const log = memoryEventLog();
    const tools = { lost: { description: "", input: {} as never, execute: () => "" } };
    const agent = await start(
      [
        noted(notes, "first"),
        { name: "failing", provides: [A], critical: false, tools, setup: () => Promise.reject(new Error("no disk")) },
        { name: "dependent", requires: [A], critical: false },
        { name: "listener", setup: ({ events }) => void events.on("error", (event) => heard.push(event)) },
      ],
      log,
    );
    expect(heard).toMatchObject([
      {
        code: "plugin/setup-failed",
        message: expect.stringContaining('plugin "failing" could not be set up: no disk'),
      },
      { code: "plugin/missing-service", message: expect.stringContaining('plugin "dependent" requires service "a"') },
    ]);
    expect((await readLog(log)).map(({ event }) => event)).toEqual(heard);
    await agent.close();
    expect(notes).toEqual(["+first", "-first"]);
  });

  it.each<[string, Plugin, string]>([
    [
      "does not provide what it lists",
      { name: "p", critical: true, provides: [A] },
      'it lists service "a" under provides and did not provide it',
    ],
    [
      "provides what it does not list",
      { name: "p", critical: true, setup: ({ provide }) => provide(A, "") },
      'it provided service "a" without listing it under provides',
    ],
    [
      "asks for what it does not list",
      { name: "p", critical: true, setup: ({ get }) => void get(MODEL) },
      'it asked for service "model" without listing it under requires',
    ],
  ])("are refused when one %s", async (_, plugin, message) => {
    await expect(start([plugin])).rejects.toMatchObject({
      code: "plugin/setup-failed",
      message: expect.stringContaining(message),
    });
  });

  it("are all disposed even when one disposer throws, which is reported", async () => {
    const notes: string[] = [];
    const log = memoryEventLog();
    const agent = await start(
      [
        noted(notes, "one"),
        { name: "bad", setup: ({ onDispose }) => onDispose(() => Promise.reject(new Error("stuck"))) },
        noted(notes, "two"),
      ],
      log,
    );
    await agent.close();
    expect(notes).toEqual(["+one", "+two", "-two", "-one"]);
    expect((await readLog(log)).map(({ event }) => event)).toMatchObject([
      { type: "error", code: "plugin/dispose-failed", message: 'plugin "bad" could not be disposed: stuck' },
    ]);
  });

  it("put events of their own on the bus and into the log", async () => {
    const log = memoryEventLog();
    const event: AgentEvent = {
      id: "learner#0",
      time: 0,
      sessionId: "",
      episodeId: "",
      stepIndex: -1,
      policyVersion: "v2",
      type: "policy-rollback",
      from: "v2",
      to: "v1",
      reason: "reward fell",
    };
    const heard: AgentEvent[] = [];
    const agent = await start(
      [
        {
          name: "learner",
          async setup({ emit, events }) {
            events.on("policy-rollback", (one) => heard.push(one));
            await emit(event);
          },
        },
      ],
      log,
    );
    expect(heard).toEqual([event]);
    expect((await readLog(log)).map((record) => record.event)).toEqual([event]);
    await agent.close();
  });
});
