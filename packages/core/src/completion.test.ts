import { describe, expect, it } from "vitest";
import {
  type Agent,
  type AgentEvent,
  type AgentOptions,
  type CompletionRequest,
  createAgent,
  DECIDER,
  type EventLog,
  GUIDANCE,
  type Message,
  ModelError,
  memoryEventLog,
  type Plugin,
  type ToolDefinition,
} from "./index.js";
import { collectEvents, manualClock, readLog, scriptedModel } from "./testing/index.js";

const start = (options: Partial<AgentOptions> & Pick<AgentOptions, "model">) =>
  createAgent({ clock: manualClock(), seed: 1, ...options });
const user = (content: string): Message => ({ role: "user", content });
const said = (content: string): Message => ({ role: "assistant", content });
const weather: ToolDefinition = { name: "weather", description: "", inputSchema: { type: "object" } };
const callsTwice = {
  toolCalls: [
    { name: "weather", input: { city: "Bern" } },
    { name: "weather", input: { city: "Rome" } },
  ],
};
const called: Message = {
  role: "assistant",
  content: "",
  toolCalls: [
    { id: "call-1", name: "weather", input: { city: "Bern" } },
    { id: "call-2", name: "weather", input: { city: "Rome" } },
  ],
};
const result = (toolCallId: string, content: string): Message => ({
  role: "tool",
  toolCallId,
  toolName: "weather",
  content,
});
const ask = (agent: Agent, messages: readonly Message[], request: Partial<CompletionRequest> = {}) =>
  agent.complete({ messages, sessionId: "s", ...request });
const typesOf = (events: readonly AgentEvent[]) => events.map(({ type }) => type);
const logged = async (log: EventLog) => (await readLog(log)).map(({ event }) => event);
const opening = [user("Weather in Bern and Rome?")];
const answered = [...opening, called, result("call-1", "rain"), result("call-2", "sun")];

describe("a step that is asked for over a context", () => {
  it("is an episode when the policy answers, with events as in the loop", async () => {
    const tokens = { promptIds: [1], ids: [2], logProbs: [-0.1], mask: [1], temperature: 1 };
    const model = scriptedModel([{ text: ["Hel", "lo."], tokens }]);
    const agent = await start({ model });
    const step = ask(agent, [{ role: "system", content: "Be kind." }, user("Hi")], { userId: "ann", temperature: 0.5 });
    const events = await collectEvents(step);
    expect(typesOf(events)).toEqual([
      "episode-start",
      "step-start",
      "observation",
      "text-delta",
      "text-delta",
      "action",
      "step-end",
      "episode-end",
    ]);
    expect(events[0]).toMatchObject({ id: "s/0#0", prompt: "Hi", userId: "ann", led: true });
    expect(events[2]).toMatchObject({ added: [{ content: "Be kind." }, { content: "Hi" }], tools: [] });
    expect(events[5]).toMatchObject({ tokens, finishReason: "stop" });
    expect(await step.result()).toMatchObject({ episodeId: "s/0", stopReason: "answered", step: { index: 0, tokens } });
    expect(model.requests[0]).toMatchObject({ temperature: 0.5, tools: [], policyVersion: "scripted" });
  });

  it("hands tool calls back, takes all parallel results as one next state, and goes on with the episode", async () => {
    const log = memoryEventLog();
    const model = scriptedModel([callsTwice, "Rain and sun.", "Welcome."]);
    const agent = await start({ model, log });
    const first = await ask(agent, opening, { tools: [weather] }).result();
    expect(first).toMatchObject({ episodeId: "s/0", finishReason: "tool-calls" });
    expect(first.stopReason).toBeUndefined();
    const second = ask(agent, answered, { tools: [weather] });
    const events = await collectEvents(second);
    expect(typesOf(events)).toEqual([
      "next-state",
      "step-start",
      "observation",
      "text-delta",
      "action",
      "step-end",
      "episode-end",
    ]);
    expect(events[0]).toMatchObject({
      episodeId: "s/0",
      stepIndex: -1,
      of: { episodeId: "s/0", stepIndex: 0 },
      nextState: {
        kind: "tool",
        results: [
          { callId: "call-1", content: "rain" },
          { callId: "call-2", content: "sun" },
        ],
      },
    });
    expect(events[2]).toMatchObject({ added: answered.slice(1) });
    expect(events[2]).not.toHaveProperty("tools");
    expect(events.at(-1)).toMatchObject({ stopReason: "answered", answer: "Rain and sun.", cost: { outputTokens: 1 } });
    await ask(agent, [...answered, said("Rain and sun."), user("Thanks!")], { tools: [weather] }).result();
    expect((await logged(log)).slice(-7).map(({ type, episodeId }) => `${type} ${episodeId}`)).toEqual([
      "episode-start s/1",
      "next-state s/1",
      "step-start s/1",
      "observation s/1",
      "action s/1",
      "step-end s/1",
      "episode-end s/1",
    ]);
    const ids = (await logged(log)).map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it.each(["warm", "cold"])("goes on in a %s process as if nothing had happened", async (state) => {
    const log = memoryEventLog();
    const model = scriptedModel([callsTwice, "Rain and sun.", "Welcome."]);
    let agent = await start({ model, log });
    for (const messages of [opening, answered, [...answered, said("Rain and sun."), user("Thanks!")]]) {
      if (state === "cold") agent = await start({ model, log });
      await ask(agent, messages, { tools: [weather] }).result();
    }
    await agent.closeSession("s", "idle");
    const events = (await logged(log)).map(({ id, type }) => `${id} ${type}`);
    expect(events).toEqual([
      "s/0#0 episode-start",
      "s/0#1 step-start",
      "s/0#2 observation",
      "s/0#3 action",
      "s/0#4 step-end",
      "s/0#5 next-state",
      "s/0#6 step-start",
      "s/0#7 observation",
      "s/0#9 action",
      "s/0#10 step-end",
      "s/0#11 episode-end",
      "s/1#0 episode-start",
      "s/1#1 next-state",
      "s/1#2 step-start",
      "s/1#3 observation",
      "s/1#5 action",
      "s/1#6 step-end",
      "s/1#7 episode-end",
      "s/1#8 next-state",
    ]);
  });

  it("draws the same for the same seed, whatever the place in the conversation", async () => {
    const model = scriptedModel(["1", "2"]);
    const agent = await start({ model });
    await ask(agent, [user("a")], { seed: 7 }).result();
    await ask(agent, [user("a"), said("1"), user("b")], { seed: 7 }).result();
    expect(model.requests.map(({ seed }) => seed)).toEqual([7, 7]);
  });
});

describe("an episode that is led", () => {
  it("ends when the user speaks instead of the tools", async () => {
    const log = memoryEventLog();
    const agent = await start({ model: scriptedModel([callsTwice, "Fine."]), log });
    await ask(agent, opening).result();
    await ask(agent, [...opening, called, user("Never mind.")]).result();
    const events = (await logged(log)).slice(5);
    expect(events.slice(0, 4)).toMatchObject([
      { type: "abort", episodeId: "s/0" },
      { type: "episode-end", episodeId: "s/0", stopReason: "aborted" },
      { type: "episode-start", episodeId: "s/1", prompt: "Never mind." },
      { type: "next-state", of: { episodeId: "s/0", stepIndex: 0 }, nextState: { kind: "user", text: "Never mind." } },
    ]);
  });

  it("ends when the session is closed, after its last step's next state", async () => {
    const log = memoryEventLog();
    const agent = await start({ model: scriptedModel([callsTwice]), log });
    await ask(agent, opening).result();
    await agent.closeSession("s", "header");
    expect((await logged(log)).slice(5)).toMatchObject([
      { type: "next-state", nextState: { kind: "closed", by: "header" } },
      { type: "abort" },
      { type: "episode-end", stopReason: "aborted" },
    ]);
  });

  it("stays open when the model fails, so that the same can be asked again", async () => {
    const log = memoryEventLog();
    const broken = { error: new ModelError("no such model") };
    const agent = await start({ model: scriptedModel([callsTwice, broken, "Rain and sun."]), log });
    await ask(agent, opening).result();
    expect(await ask(agent, answered).result()).toMatchObject({ error: { code: "model/failed" } });
    const again = await start({ model: scriptedModel(["Rain and sun."]), log });
    expect(await ask(again, answered).result()).toMatchObject({
      episodeId: "s/0",
      stopReason: "answered",
      step: { index: 1 },
    });
    const types = typesOf(await logged(log)).filter((type) => /episode|next|error/.test(type));
    expect(types).toEqual(["episode-start", "next-state", "error", "episode-end"]);
  });

  it("keeps its learned text and its decisions over its steps", async () => {
    const texts = ["Be brief.", "Be long."];
    const plugin: Plugin = {
      name: "learned",
      provides: [GUIDANCE, DECIDER],
      decisions: [
        {
          name: "warmth",
          alternatives: ["warm", "cold"],
          scope: "episode",
          apply: (choice, request) => ({ ...request, temperature: choice === "cold" ? 0 : 1 }),
        },
      ],
      setup({ provide }) {
        let choices = 0;
        provide(GUIDANCE, { advise: () => texts.shift() });
        provide(DECIDER, { choose: () => ({ choice: ++choices === 1 ? "cold" : "warm", propensity: 0.5 }) });
      },
    };
    const model = scriptedModel([callsTwice, "Rain and sun."]);
    const agent = await start({ model, plugins: [plugin] });
    const events = [...(await collectEvents(ask(agent, opening))), ...(await collectEvents(ask(agent, answered)))];
    expect(model.requests.map(({ messages, temperature }) => [messages[0]!.content, temperature])).toEqual([
      ["Weather in Bern and Rome? Be brief.", 0],
      ["Weather in Bern and Rome? Be brief.", 0],
    ]);
    expect(typesOf(events).filter((type) => type === "decision")).toHaveLength(1);
  });

  it("is cut where the agent's budget ends", async () => {
    const agent = await start({ model: scriptedModel([callsTwice]), budget: { maxSteps: 1 } });
    await ask(agent, opening).result();
    expect(await ask(agent, answered).result()).toMatchObject({ stopReason: "max-steps" });
  });
});

describe("a context that is not the session's with more at its end", () => {
  it("replaces it, and what follows the last answer is still its next state", async () => {
    const log = memoryEventLog();
    const agent = await start({ model: scriptedModel(["Hello.", "Fine."]), log });
    await ask(agent, [{ role: "system", content: "It is 10:00." }, user("Hi")]).result();
    const edited = [
      { role: "system", content: "It is 10:05." } as const,
      user("Hi"),
      said("Hello. "),
      user("How are you?"),
    ];
    await ask(agent, edited).result();
    expect((await logged(log)).slice(6)).toMatchObject([
      { type: "episode-start", episodeId: "s/1" },
      { type: "next-state", of: { episodeId: "s/0" }, nextState: { kind: "user", text: "How are you?" } },
      { type: "compaction", messages: edited },
      { type: "step-start" },
      { type: "observation", added: [] },
      { type: "action" },
      { type: "step-end" },
      { type: "episode-end" },
    ]);
  });

  it.each([
    ["asks the same again", [user("Hi")]],
    ["takes the exchange back", [user("Good evening")]],
    ["answers an older message with the same text", [user("Hi"), said("Hello."), user("And?")]],
  ])("has no next state for the last answer when the caller %s", async (_, messages) => {
    const log = memoryEventLog();
    const agent = await start({ model: scriptedModel(["Hello.", "Hello.", "Yes."]), log });
    const first = [user("Hi")];
    await ask(agent, first).result();
    if (messages.length > 1) await ask(agent, [...first, said("Hello."), user("Who are you?")]).result();
    const before = log.nextOffset;
    await ask(agent, messages).result();
    const types = typesOf((await logged(log)).slice(before));
    expect(types).toEqual([
      "episode-start",
      "compaction",
      "step-start",
      "observation",
      "action",
      "step-end",
      "episode-end",
    ]);
  });

  it("is told whole after the session was closed, in the loop and where somebody else leads", async () => {
    const log = memoryEventLog();
    const agent = await start({ model: scriptedModel(["Hello.", "Again.", "Hm.", "Ok."]), log });
    await ask(agent, [user("Hi")]).result();
    await agent.closeSession("s", "idle");
    await ask(agent, [user("Hi"), said("Hello."), user("Back.")]).result();
    await agent.stream({ prompt: "Hi", sessionId: "looped" }).result();
    await agent.closeSession("looped", "idle");
    await agent.stream({ prompt: "Back.", sessionId: "looped" }).result();
    const compactions = (await logged(log)).filter(({ type }) => type === "compaction");
    expect(compactions).toMatchObject([
      { sessionId: "s", messages: [{ content: "Hi" }, { content: "Hello." }, { content: "Back." }] },
      { sessionId: "looped", messages: [{ content: "Hi" }, { content: "Hm." }] },
    ]);
  });
});

describe("an abort", () => {
  it("keeps what was written, and the next request does without it", async () => {
    const log = memoryEventLog();
    const agent = await start({ model: scriptedModel([{ text: "Once upon", hang: true }, "Again."]), log });
    const controller = new AbortController();
    const step = ask(agent, [user("A tale")], { abortSignal: controller.signal });
    for await (const { type } of step) if (type === "text-delta") controller.abort(new Error("the client left"));
    expect(await step.result()).toMatchObject({ stopReason: "aborted", finishReason: "aborted" });
    const events = await logged(log);
    expect(events.find(({ type }) => type === "action")).toMatchObject({
      action: { message: { content: "Once upon" } },
    });
    expect(events.slice(-2)).toMatchObject([{ type: "abort", reason: "the client left" }, { stopReason: "aborted" }]);
    expect(await ask(agent, [user("A tale")]).result()).toMatchObject({ episodeId: "s/1", stopReason: "answered" });
  });
});

describe("a step that is not to be learned from", () => {
  it("is heard of by neither log nor bus nor session", async () => {
    const log = memoryEventLog();
    const agent = await start({ model: scriptedModel(["Hello.", "A title", "Fine."]), log });
    await ask(agent, [user("Hi")]).result();
    const before = log.nextOffset;
    let heard = 0;
    agent.events.onAny(() => heard++);
    expect(await ask(agent, [user("Name this chat")], { train: false }).result()).toMatchObject({
      stopReason: "answered",
    });
    expect([log.nextOffset, heard]).toEqual([before, 0]);
    const events = await collectEvents(ask(agent, [user("Hi"), said("Hello."), user("How are you?")]));
    expect(typesOf(events).slice(0, 3)).toEqual(["episode-start", "next-state", "step-start"]);
  });
});

describe("a request that makes no sense", () => {
  it.each([
    ["without messages", { messages: [] }],
    ["without a session", { messages: opening, sessionId: "" }],
    ["that ends with the policy's words", { messages: [user("Hi"), said("Hello.")] }],
  ])("%s is refused at once", async (_, request) => {
    const agent = await start({ model: scriptedModel([]) });
    expect(() => agent.complete({ sessionId: "s", ...request })).toThrow(
      expect.objectContaining({ code: "agent/invalid-context" }),
    );
  });
});
