import { afterEach, describe, expect, expectTypeOf, it, vi } from "vitest";
import { z } from "zod";
import {
  AgentError,
  type AgentHooks,
  createAgent,
  defineTool,
  jsonSchema,
  type Plugin,
  type Tool,
  type ToolCall,
} from "./index.js";
import { collectEvents, manualClock, scriptedModel } from "./testing/index.js";

const empty = z.object({});
// biome-ignore lint/suspicious/noExplicitAny: tools with unlike inputs
type Tools = Record<string, Tool<any, any>>;
/** The results of one step with these calls, and all events of the run. */
const callTools = async (
  tools: Tools,
  calls: readonly { name: string; input?: unknown; invalidInput?: string }[],
  { hooks = {}, plugins = [], userId }: { hooks?: AgentHooks; plugins?: Plugin[]; userId?: string } = {},
) => {
  const model = scriptedModel([{ toolCalls: calls }, "ok"]);
  const agent = await createAgent({
    model,
    clock: manualClock(),
    plugins: [{ name: "tools", tools, hooks }, ...plugins],
  });
  const run = agent.stream({ prompt: "go", sessionId: "s", ...(userId !== undefined && { userId }) });
  const events = await collectEvents(run);
  const results = events.flatMap((event) => (event.type === "tool-result" ? [event.result] : []));
  return { events, results, result: await run.result(), seen: model.requests[1]!.messages };
};
afterEach(() => void vi.useRealTimers());

describe("defineTool", () => {
  it("infers the input from the schema", () => {
    defineTool({
      description: "",
      input: z.object({ city: z.string(), days: z.number().default(1) }),
      execute: (input) => expectTypeOf(input).toEqualTypeOf<{ city: string; days: number }>(),
    });
    defineTool({
      description: "",
      input: jsonSchema<{ path: string }>({ type: "object" }),
      execute: ({ path }) => expectTypeOf(path).toBeString(),
      needsApproval: ({ path }) => path === "/",
    });
  });
});

describe("tools at the start", () => {
  const start = (tools: Tools, ...plugins: Plugin[]) =>
    createAgent({ model: scriptedModel([]), plugins: [{ name: "mine", tools }, ...plugins] });
  const tool = { description: "", input: empty, execute: () => "" };

  it.each<[string, Tools, string]>([
    [
      "a schema without JSON Schema",
      { add: { ...tool, input: { "~standard": { version: 1, vendor: "x", validate: () => ({ value: {} }) } } } },
      'tool "add" of plugin "mine" has no usable input schema: it cannot give its JSON Schema; use a schema that can (zod 4, ArkType) or jsonSchema(...)',
    ],
    [
      "a schema that cannot be written as JSON Schema",
      { add: { ...tool, input: z.object({ when: z.date() }) } },
      'tool "add" of plugin "mine" has no usable input schema: Date cannot be represented in JSON Schema',
    ],
    [
      "a JSON Schema that makes no sense",
      { add: { ...tool, input: jsonSchema({ type: "objekt" }) } },
      'tool "add" of plugin "mine" has no usable input schema: type must be JSONType or JSONType[]: objekt',
    ],
    [
      "an input that is not an object",
      { add: { ...tool, input: jsonSchema({ type: "string" }) } },
      'tool "add" of plugin "mine" has no usable input schema: its input is of type "string"; models call tools with an object',
    ],
  ])("are refused with %s, by name", async (_, tools, message) => {
    await expect(start(tools)).rejects.toMatchObject({ code: "tool/invalid-schema", message });
  });

  it("are refused when two have one name, or one has a name that models do not take", async () => {
    await expect(start({ add: tool }, { name: "other", tools: { add: tool } })).rejects.toMatchObject({
      code: "tool/duplicate-name",
      message: 'plugins "mine" and "other" both have a tool "add"; rename one of them',
    });
    await expect(start({ "add two": tool })).rejects.toMatchObject({ code: "tool/invalid-name" });
  });
});

describe("jsonSchema", () => {
  it("refuses input with fields of the names of methods, and does not throw", () => {
    const { validate } = jsonSchema({ enum: [{ a: [1, 2] }, "x"] })["~standard"];
    for (const input of [{ toString: [] }, { valueOf: 1 }, { constructor: {} }, { hasOwnProperty: 0 }])
      expect(validate(input)).toMatchObject({ issues: [{ message: expect.any(String) }] });
    expect(validate({ a: [1, 2] })).toEqual({ value: { a: [1, 2] } });
  });

  const schema = jsonSchema({
    $schema: "http://json-schema.org/draft-07/schema#",
    type: "object",
    properties: {
      to: { type: "object", properties: { city: { type: "string", format: "city" } }, required: ["city"] },
    },
    additionalProperties: false,
  });

  it("validates, naming the fields", () => {
    const validate = schema["~standard"].validate;
    expect(validate({ to: { city: "Rome" } })).toEqual({ value: { to: { city: "Rome" } } });
    expect(validate({ to: {}, more: 1 })).toEqual({
      issues: [
        { path: ["more"], message: "must NOT have additional properties" },
        { path: ["to", "city"], message: "must have required property 'city'" },
      ],
    });
  });
});

describe("a tool call", () => {
  it("shows text as it is, and anything else as JSON", async () => {
    const returning = (value: unknown) => ({ description: "", input: empty, execute: () => value });
    const { results } = await callTools(
      { text: returning("plain"), data: returning({ a: [1] }), nothing: returning(undefined), big: returning(1n) },
      ["text", "data", "nothing", "big"].map((name) => ({ name })),
    );
    expect(results.map(({ content, errorCode }) => [content, errorCode])).toEqual([
      ["plain", undefined],
      ['{"a":[1]}', undefined],
      ["", undefined],
      [expect.stringContaining('tool "big" returned what JSON cannot hold'), "tool/failed"],
    ]);
  });

  it("that cannot be made is a result that the model sees: unknown tool, bad input, no JSON", async () => {
    const add = { description: "", input: z.object({ to: z.object({ city: z.string() }) }), execute: () => "" };
    const { results, seen } = await callTools({ add }, [
      { name: "ad" },
      { name: "add", input: { to: { city: 7 } } },
      { name: "add", invalidInput: "{oops" },
    ]);
    expect(results.map(({ errorCode, content }) => [errorCode, content])).toEqual([
      ["tool/unknown", 'there is no tool "ad"; the tools are add'],
      ["tool/invalid-input", 'the input of "add" is invalid: to.city: Invalid input: expected string, received number'],
      ["tool/invalid-input", 'the arguments of "add" are not JSON: {oops'],
    ]);
    expect(seen.slice(-3)).toEqual(
      results.map(({ callId, toolName, content }) => ({
        role: "tool",
        toolCallId: callId,
        toolName,
        content,
        isError: true,
      })),
    );
  });

  it("that throws is a result that the model sees, with the error's own code if it has one", async () => {
    const throwing = (error: unknown) => ({
      description: "",
      input: empty,
      execute: () => {
        throw error;
      },
    });
    const { results, result } = await callTools(
      {
        now: throwing(new Error("boom")),
        text: throwing("just text"),
        coded: throwing(new AgentError("sandbox/limit", "too much memory")),
        later: { description: "", input: empty, execute: () => Promise.reject(new Error("later")) },
      },
      ["now", "text", "coded", "later"].map((name) => ({ name })),
    );
    expect(results.map(({ errorCode, content }) => [errorCode, content])).toEqual([
      ["tool/failed", "boom"],
      ["tool/failed", "just text"],
      ["sandbox/limit", "too much memory"],
      ["tool/failed", "later"],
    ]);
    expect(result.stopReason).toBe("answered");
  });

  it("that takes too long is cut off and its signal aborted", async () => {
    vi.useFakeTimers();
    let aborted: unknown;
    const slow = {
      description: "",
      input: empty,
      timeoutMs: 5000,
      execute: (_: unknown, { signal }: { signal: AbortSignal }) => {
        signal.addEventListener("abort", () => {
          aborted = signal.reason;
        });
        return new Promise(() => {});
      },
    };
    const calling = callTools({ slow }, [{ name: "slow" }]);
    await vi.advanceTimersByTimeAsync(4999);
    expect(aborted).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    const { results } = await calling;
    expect(results[0]).toMatchObject({
      isError: true,
      errorCode: "tool/timeout",
      content: 'tool "slow" did not finish within 5000 ms',
    });
    expect(aborted).toMatchObject({ code: "tool/timeout" });
    expect(vi.getTimerCount()).toBe(0);
  });

  it("knows session and user, and tells its progress until it is over", async () => {
    let late = (_: unknown) => {};
    const working = defineTool({
      description: "",
      input: empty,
      execute(_, { progress, sessionId, userId }) {
        progress("half");
        late = progress;
        return `${sessionId} ${userId}`;
      },
    });
    const { events, results } = await callTools({ working }, [{ name: "working" }], { userId: "ann" });
    late("too late");
    expect(results[0]!.content).toBe("s ann");
    expect(events.filter(({ type }) => type === "tool-progress")).toMatchObject([
      { stepIndex: 0, callId: "call-1", progress: "half" },
    ]);
  });
});

describe("several tool calls of one step", () => {
  /** Tools that note when they begin and end; each ends when the test says so, the last first. */
  const staged = (parallel: Record<string, boolean | undefined>) => {
    const notes: string[] = [];
    const tools = Object.fromEntries(
      Object.entries(parallel).map(([name, isParallel], index) => [
        name,
        {
          description: "",
          input: empty,
          ...(isParallel !== undefined && { parallel: isParallel }),
          async execute() {
            notes.push(`${name}…`);
            for (let wait = 10 - index; wait > 0; wait--) await Promise.resolve();
            notes.push(`…${name}`);
            return name;
          },
        },
      ]),
    );
    return { tools, notes, calls: Object.keys(parallel).map((name) => ({ name })) };
  };

  it("run side by side, and their results come in call order", async () => {
    const { tools, notes, calls } = staged({ a: undefined, b: undefined, c: true });
    const { events, results } = await callTools(tools, calls);
    expect(notes).toEqual(["a…", "b…", "c…", "…c", "…b", "…a"]);
    expect(results.map(({ content }) => content)).toEqual(["a", "b", "c"]);
    expect(events.map(({ type }) => type).slice(4, 12)).toEqual([
      "tool-call",
      "tool-call",
      "tool-call",
      "tool-result",
      "tool-result",
      "tool-result",
      "next-state",
      "step-end",
    ]);
    expect(events.find(({ type }) => type === "next-state")).toMatchObject({ nextState: { kind: "tool", results } });
  });

  it("run alone where a tool asks for that", async () => {
    const { tools, notes, calls } = staged({ a: undefined, b: false, c: undefined, d: undefined });
    const { results } = await callTools(tools, calls);
    expect(notes).toEqual(["a…", "…a", "b…", "…b", "c…", "d…", "…d", "…c"]);
    expect(results.map(({ content }) => content)).toEqual(["a", "b", "c", "d"]);
  });
});

describe("hooks around a tool call", () => {
  const echo = defineTool({ description: "", input: z.object({ text: z.string() }), execute: ({ text }) => text });
  const call = [{ name: "echo", input: { text: "secret" } }];

  it("rewrite in plugin order, and the event shows the call as it ran", async () => {
    const append = (suffix: string): AgentHooks => ({
      beforeToolCall: ({ call: { input } }) => ({
        kind: "rewrite",
        input: { text: `${(input as { text: string }).text}${suffix}` },
      }),
    });
    const { events, results } = await callTools({ echo }, call, {
      hooks: append("-1"),
      plugins: [{ name: "second", hooks: append("-2") }],
    });
    expect(results[0]!.content).toBe("secret-1-2");
    expect(events.find(({ type }) => type === "tool-call")).toMatchObject({ call: { input: { text: "secret-1-2" } } });
  });

  it("block, and the model sees why; a hook that throws blocks, too", async () => {
    let ran = 0;
    const tool = { ...echo, execute: () => ++ran };
    const blocked = await callTools({ echo: tool }, call, {
      hooks: { beforeToolCall: () => ({ kind: "block", reason: "not today" }) },
    });
    expect(blocked.results[0]).toMatchObject({ errorCode: "tool/blocked", content: "the call was blocked: not today" });
    const broken = await callTools({ echo: tool }, call, { hooks: { beforeToolCall: () => Promise.reject("oops") } });
    expect(broken.results[0]).toMatchObject({
      errorCode: "hook/failed",
      content: "the call was blocked, because a hook failed: oops",
    });
    expect(ran).toBe(0);
  });

  it("change results in plugin order; a hook that throws holds the result back", async () => {
    const mask: AgentHooks = {
      afterToolResult: ({ result }) => ({ ...result, content: result.content.replace("secret", "***") }),
    };
    const shout: AgentHooks = { afterToolResult: ({ result }) => ({ ...result, content: `${result.content}!` }) };
    const plugins = [{ name: "second", hooks: shout }];
    const changed = await callTools({ echo }, call, { hooks: mask, plugins });
    expect(changed.results[0]!.content).toBe("***!");
    expect(changed.seen.at(-1)).toMatchObject({ role: "tool", content: "***!" });
    const broken = await callTools({ echo }, call, {
      hooks: { afterToolResult: () => Promise.reject(new Error("no mask")) },
      plugins,
    });
    expect(broken.results[0]).toMatchObject({
      isError: true,
      errorCode: "hook/failed",
      content: "the result was held back, because a hook failed: no mask",
    });
  });
});

describe("the breaker", () => {
  const failing = {
    description: "",
    input: z.object({ n: z.number() }),
    execute: () => Promise.reject(new Error("down")),
  };
  const runCalls = async (steps: readonly (readonly Partial<ToolCall>[])[]) => {
    const model = scriptedModel([
      ...steps.map((calls) => ({ toolCalls: calls.map(({ name = "failing", input }) => ({ name, input })) })),
      "ok",
    ]);
    const works = { ...failing, execute: () => "fine" };
    const agent = await createAgent({ model, plugins: [{ name: "tools", tools: { failing, works } }] });
    const { stopReason } = await agent.stream({ prompt: "go" }).result();
    return { stopReason, calls: model.requests.length };
  };
  const n = (value: number) => [{ input: { n: value } }];

  it("stops a run after the third step in a row in which the same call failed alike", async () => {
    expect(await runCalls([n(1), n(1), n(1), n(1)])).toEqual({ stopReason: "repeated-errors", calls: 3 });
  });

  it("lets other inputs, other calls in between, and repeats within one step go on", async () => {
    expect(await runCalls([n(1), n(2), n(1), n(2)])).toEqual({ stopReason: "answered", calls: 5 });
    expect(await runCalls([n(1), n(1), [{ name: "works", input: { n: 1 } }], n(1)])).toEqual({
      stopReason: "answered",
      calls: 5,
    });
    expect(await runCalls([[...n(1), ...n(1), ...n(1)]])).toEqual({ stopReason: "answered", calls: 2 });
  });
});
