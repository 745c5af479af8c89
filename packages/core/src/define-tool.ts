import type { Tool } from "./tool.js";

/** A tool whose input type is inferred from its schema. */
export function defineTool<Input, Output>(tool: Tool<Input, Output>): Tool<Input, Output> {
  return tool;
}
