import { describe, expect, it } from "vitest";
import {
  type AgentEvent,
  createAgent,
  DECIDER,
  type Decision,
  type EventOf,
  type EventType,
  GUIDANCE,
  memoryEventLog,
  type Plugin,
  withGuidance,
} from "./index.js";
import { collectEvents, manualClock, scriptedModel } from "./testing/index.js";

const guided = (advise: () => string | undefined): Plugin => ({
  name: "guided",
  provides: [GUIDANCE],
  setup: ({ provide }) => provide(GUIDANCE, { advise }),
});
const temperature = (scope: Decision["scope"]): Decision => ({
  name: "temperature",
  alternatives: ["warm", "cold"],
  scope,
  features: ({ messages }) => ({ length: messages.length }),
  apply: (choice, request) => ({ ...request, temperature: choice === "cold" ? 0 : 1 }),
});
/** Chooses one alternative after the other. */
const alternating = (decision: Decision): Plugin => {
  let calls = 0;
  return {
    name: "alternating",
    provides: [DECIDER],
    decisions: [decision],
    setup: ({ provide }) =>
      provide(DECIDER, {
        choose: ({ decision: { alternatives } }) => ({ choice: alternatives[++calls % 2]!, propensity: 0.5 }),
      }),
  };
};
const callNothing = { toolCalls: [{ name: "nothing", input: {} }] };
const only = <T extends EventType>(events: readonly AgentEvent[], type: T) =>
  events.flatMap((event) => (event.type === type ? [event as EventOf<T>] : []));

describe("learned text", () => {
  it("stands behind the user's last message in every step of the episode, and never joins the context", async () => {
    const texts = ["Be brief.", undefined];
    const model = scriptedModel([callNothing, "24", "25"]);
    const agent = await createAgent({ model, plugins: [guided(() => texts.shift())], clock: manualClock() });
    const first = await collectEvents(agent.stream({ prompt: "48 / 2?", sessionId: "s" }));
    await collectEvents(agent.stream({ prompt: "And 50 / 2?", sessionId: "s" }));
    expect(model.requests[0]!.messages).toEqual([{ role: "user", content: "48 / 2? Be brief." }]);
    expect(model.requests[1]!.messages[0]).toEqual({ role: "user", content: "48 / 2? Be brief." });
    expect(model.requests[2]!.messages[0]).toEqual({ role: "user", content: "48 / 2?" });
    expect(only(first, "observation").map(({ guidance }) => guidance)).toEqual(["Be brief.", "Be brief."]);
    expect(only(first, "observation")[0]!.added).toEqual([{ role: "user", content: "48 / 2?" }]);
  });

  it("that cannot be had is reported, and the run goes on", async () => {
    const broken = guided(() => {
      throw new Error("no library");
    });
    const agent = await createAgent({ model: scriptedModel(["24"]), plugins: [broken], clock: manualClock() });
    const events = await collectEvents(agent.stream({ prompt: "48 / 2?" }));
    expect(only(events, "error")[0]).toMatchObject({ code: "guidance/failed" });
    expect(only(events, "episode-end")[0]).toMatchObject({ stopReason: "answered", answer: "24" });
  });

  it("has no place in a context in which nobody spoke", () => {
    expect(withGuidance([{ role: "system", content: "Hello." }], "Be brief.")).toBeUndefined();
  });
});

describe("decisions", () => {
  it("take the first alternative where nothing chooses", async () => {
    const model = scriptedModel(["24"]);
    const plugin = { name: "p", decisions: [temperature("episode")] };
    const agent = await createAgent({ model, plugins: [plugin], clock: manualClock() });
    const events = await collectEvents(agent.stream({ prompt: "48 / 2?" }));
    expect(model.requests[0]!.temperature).toBe(1);
    const { name, choice, alternatives, propensity, features } = only(events, "decision")[0]!;
    expect({ name, choice, alternatives, propensity, features }).toEqual({
      name: "temperature",
      choice: "warm",
      alternatives: ["warm", "cold"],
      propensity: 1,
      features: { length: 1 },
    });
  });

  it.each([
    ["session", ["cold", "cold", "cold"]],
    ["episode", ["cold", "warm", "cold"]],
  ] as const)("that hold for a whole %s are told in every episode, also of another process", async (scope, choices) => {
    const log = memoryEventLog();
    const open = (plugin: Plugin) =>
      createAgent({ model: scriptedModel(["1", "2"]), plugins: [plugin], log, clock: manualClock() });
    const ask = async (agent: Awaited<ReturnType<typeof open>>) =>
      only(await collectEvents(agent.stream({ prompt: "?", sessionId: "s" })), "decision")[0]!.choice;
    const first = await open(alternating(temperature(scope)));
    const made = [await ask(first), await ask(first)];
    await first.close();
    const second = await open(alternating(temperature(scope)));
    expect([...made, await ask(second)]).toEqual(choices);
  });

  it("are refused at the start when there is nothing to choose, or two have one name", async () => {
    const model = scriptedModel([]);
    const start = (...decisions: Decision[]) => createAgent({ model, plugins: [{ name: "p", decisions }] });
    const lone = { ...temperature("episode"), alternatives: ["warm"] };
    await expect(start(lone)).rejects.toThrow('decision "temperature" of plugin "p" needs at least two');
    await expect(start(temperature("episode"), temperature("session"))).rejects.toThrow("rename one of them");
  });

  it("of a decider that names no alternative are left out, and reported", async () => {
    const wrong: Plugin = {
      name: "wrong",
      provides: [DECIDER],
      decisions: [temperature("episode")],
      setup: ({ provide }) => provide(DECIDER, { choose: () => ({ choice: "hot", propensity: 1 }) }),
    };
    const model = scriptedModel(["24"]);
    const agent = await createAgent({ model, plugins: [wrong], clock: manualClock() });
    const events = await collectEvents(agent.stream({ prompt: "48 / 2?" }));
    expect(only(events, "error")[0]).toMatchObject({ code: "decision/invalid-choice" });
    expect(model.requests[0]!.temperature).toBeUndefined();
  });
});
