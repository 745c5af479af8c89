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
