import { describe, expect, it } from "vitest";
import { z } from "zod";
import { createAgent, defineTool, memoryEventLog } from "./index.js";
import { collectEvents, manualClock, scriptedModel } from "./testing/index.js";

const add = defineTool({
  description: "Adds two numbers.",
  input: z.object({ a: z.number(), b: z.number() }),
  execute: ({ a, b }) => String(a + b),
});

describe("createAgent", () => {
  it("runs a tool and answers, telling every step as an event", async () => {
    const model = scriptedModel([
      { text: ["Let me ", "add."], toolCalls: [{ name: "add", input: { a: 2, b: 2 } }] },
      { text: ["It ", "is 4."] },
    ]);
    const log = memoryEventLog();
    const agent = await createAgent({
      model,
      instructions: "Be brief.",
      plugins: [{ name: "sums", tools: { add } }],
      seed: 1,
      clock: manualClock(1000),
      log,
    });
    const run = agent.stream({ prompt: "2+2?", sessionId: "s" });
    const events = await collectEvents(run);
    expect(events.map(({ type }) => type)).toEqual([
      "episode-start",
      "step-start",
      "observation",
      "text-delta",
      "text-delta",
      "action",
      "tool-call",
      "tool-result",
      "next-state",
      "step-end",
      "step-start",
      "observation",
      "text-delta",
      "text-delta",
      "action",
      "step-end",
      "episode-end",
    ]);
    const result = await run.result();
    expect(result).toMatchObject({ id: "s/0", stopReason: "answered", answer: "It is 4." });
    expect(result.steps).toHaveLength(2);
    expect(result.steps[0]!.nextState).toMatchObject({ kind: "tool", results: [{ content: "4", isError: false }] });
    model.assertExhausted();
  });
});
