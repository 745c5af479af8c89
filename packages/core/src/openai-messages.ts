import type { ChatCompletionMessageParam, ChatCompletionTool } from "openai/resources/chat/completions";
import type { Message, ToolCall } from "./message.js";
import type { ToolDefinition } from "./model.js";

/** Messages as the chat completions API takes them. */
export function toOpenaiMessages(messages: readonly Message[]): ChatCompletionMessageParam[] {
  return messages.map((message) => {
    switch (message.role) {
      case "tool":
        return { role: "tool", tool_call_id: message.toolCallId, content: message.content };
      case "assistant":
        if (!message.toolCalls?.length) return { role: "assistant", content: message.content };
        return {
          role: "assistant",
          content: message.content === "" ? null : message.content,
          tool_calls: message.toolCalls.map((call) => ({
            id: call.id,
            type: "function",
            function: { name: call.name, arguments: argumentsOf(call) },
          })),
        };
      default:
        return { role: message.role, content: message.content };
    }
  });
}

/** Arguments that were not JSON are left out: many endpoints refuse a history that holds them, and the tool's result quotes them. */
const argumentsOf = ({ input, invalidInput }: ToolCall) => (invalidInput === undefined ? JSON.stringify(input) : "{}");

/** Tools as the chat completions API takes them. */
export function toOpenaiTools(tools: readonly ToolDefinition[]): ChatCompletionTool[] {
  return tools.map(({ name, description, inputSchema }) => ({
    type: "function",
    function: { name, description, parameters: { ...inputSchema } },
  }));
}

/** A tool call from the text of its arguments; no text at all means no arguments. */
export function parseToolCall(id: string, name: string, text: string): ToolCall {
  try {
    return { id, name, input: text.trim() === "" ? {} : JSON.parse(text) };
  } catch {
    return { id, name, input: undefined, invalidInput: text };
  }
}
