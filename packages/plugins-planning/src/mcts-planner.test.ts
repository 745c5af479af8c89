import { createAgent, createEventBus, type Message, PLANNER, type Planner } from "@afterstate/core";
import { collectEvents, scriptedModel } from "@afterstate/core/testing";
import { describe, expect, it } from "vitest";
import { createMctsPlanner, mctsPlanner } from "./mcts-planner.js";
import { numberGame } from "./number-game/number-game.js";
import { evaluateFraction } from "./testing/fraction-evaluator.js";

const user = (content: string): Message => ({ role: "user", content });

describe("mctsPlanner", () => {
  it("has a goal when the user's last message states one, and else none", () => {
    const planner = createMctsPlanner({ domains: [numberGame()] });
    const goal = (...messages: Message[]) => planner.goalOf({ messages });
    expect(goal(user("Make 24 from 4 7 8 8"))).toBe("make 24 from 4 7 8 8");
    expect(goal(user("Hello"), user("Make 24 from 4 7 8 8"), { role: "assistant", content: "Well." })).toBe(
      "make 24 from 4 7 8 8",
    );
    expect(goal(user("Make 24 from 4 7 8 8"), user("Thanks"))).toBeUndefined();
    expect(goal()).toBeUndefined();
  });

  it("has no plan for a goal of no domain, and none once it is aborted", async () => {
    const planner = createMctsPlanner({ domains: [numberGame()] });
    const request = { seed: 1, observation: { messages: [] }, onExpand: () => {} };
    const signal = new AbortController().signal;
    expect(await planner.plan({ ...request, goal: "peace", signal })).toBeUndefined();
    expect(
      await planner.plan({ ...request, goal: "make 24 from 4 7 8 8", signal: AbortSignal.abort() }),
    ).toBeUndefined();
  });

  it("is a plugin that provides PLANNER", async () => {
    const provided: unknown[] = [];
    const plugin = mctsPlanner({ domains: [numberGame()] });
    await plugin.setup?.({
      provide: (key, service) => void provided.push(key, service),
      get: () => {
        throw new Error("the planner requires nothing");
      },
      onDispose: () => {},
      events: createEventBus(),
      emit: async () => {},
    });
    expect(plugin.provides).toEqual([PLANNER]);
    expect(provided[0]).toBe(PLANNER);
    expect((provided[1] as Planner).goalOf({ messages: [user("Make 24 from 4 7 8 8")] })).toBeDefined();
  });

  it("gives the agent loop a plan that the policy sees", async () => {
    const model = scriptedModel([({ messages }) => messages.at(-1)!.content.replace("Plan: ", ""), "You are welcome."]);
    const agent = await createAgent({ model, plugins: [mctsPlanner({ domains: [numberGame()] })], seed: 1 });
    const run = agent.stream({ prompt: "Make 24 from 4 7 8 8", sessionId: "s" });
    const types = (await collectEvents(run)).map(({ type }) => type);
    expect(types).toEqual(expect.arrayContaining(["plan-start", "plan-expand", "plan-end"]));
    expect(types.indexOf("plan-end")).toBeLessThan(types.indexOf("step-start"));
    const { value, numbers } = evaluateFraction((await run.result()).answer);
    expect([value[0] / value[1], value[0] % value[1], numbers.toSorted()]).toEqual([24n, 0n, [4, 7, 8, 8]]);
    const thanks = await collectEvents(agent.stream({ prompt: "Thanks!", sessionId: "s" }));
    expect(thanks.map(({ type }) => type)).not.toContain("plan-start");
  });
});
