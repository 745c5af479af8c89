import { createAgent } from "@afterstate/core";
import { scriptedModel } from "@afterstate/core/testing";
import { expect, it } from "vitest";
import { calculator, calculatorTool } from "./calculator.js";

const context = { signal: new AbortController().signal, sessionId: "s", progress: () => {} };

it("offers one tool that takes an expression and gives its value", () => {
  expect(Object.keys(calculator().tools ?? {})).toEqual(["calculator"]);
  expect(calculatorTool.execute({ expression: "3^17 mod 41" }, context)).toBe("3");
});

it("tells the model the schema of its input", () => {
  expect(calculatorTool.input["~standard"].jsonSchema?.input({ target: "draft-2020-12" })).toMatchObject({
    type: "object",
    properties: { expression: { type: "string" } },
    required: ["expression"],
  });
});

it("answers the agent's calls, and tells the model what is wrong with a call that cannot be worked out", async () => {
  const call = (input: unknown) => ({ toolCalls: [{ name: "calculator", input }] });
  const model = scriptedModel([
    call({ expression: "(7 - 8/8) * 4" }),
    call({ expression: "1/0" }),
    call({ sum: "1+1" }),
    "24",
  ]);
  const agent = await createAgent({ model, plugins: [calculator()], seed: 1 });
  const { steps, answer } = await agent.stream({ prompt: "Make 24." }).result();
  expect(steps.flatMap(({ nextState }) => (nextState?.kind === "tool" ? nextState.results : []))).toMatchObject([
    { content: "24", isError: false },
    { content: "division by zero, at position 2", isError: true, errorCode: "tool/invalid-input" },
    { isError: true, errorCode: "tool/invalid-input" },
  ]);
  expect(answer).toBe("24");
});
