import { defineTool, type Plugin } from "@afterstate/core";
import { z } from "zod";
import { evaluateExpression } from "./evaluate.js";

const input = z.object({
  expression: z.string().describe('The expression to work out, for example "(7 - 8/8) * 4" or "3^17 mod 41".'),
});

/** The calculator as a tool: exact arithmetic, the value as text. */
export const calculatorTool = defineTool({
  description:
    "Works out an arithmetic expression exactly: integers of any size, decimals and fractions; + - * / ^, parentheses, percentages such as 20%, and mod (also of powers).",
  input,
  execute: ({ expression }) => evaluateExpression(expression),
});

/** A plugin with one tool, `calculator`. */
export function calculator(): Plugin {
  return { name: "calculator", tools: { calculator: calculatorTool } };
}
