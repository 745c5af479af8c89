import type { AssistantMessage, Message, ToolCall } from "@afterstate/core";
import { badField, type GatewayError } from "./gateway-error.js";

type Fields = Readonly<Record<string, unknown>>;

/** The messages of a request. @throws GatewayError 400 naming the message. */
export function parseMessages(value: unknown): readonly Message[] {
  if (!Array.isArray(value) || value.length === 0)
    throw badField("messages", "messages is a list of at least one message");
  const messages: Message[] = [];
  /** Calls that may be answered now, by id. */
  let open = new Map<string, string>();
  for (const [index, entry] of value.entries()) {
    const at = `messages[${index}]`;
    if (typeof entry !== "object" || entry === null || Array.isArray(entry)) throw badField(at, `${at} is no object`);
    const fields = entry as Fields;
    const { role } = fields;
    if (role === "tool") {
      messages.push(toolMessage(fields, open, at));
      continue;
    }
    if (role === "user") messages.push({ role, content: textOf(fields.content, `${at}.content`) });
    else if (role === "system" || role === "developer")
      messages.push({ role: "system", content: textOf(fields.content, `${at}.content`) });
    else if (role === "assistant") messages.push(assistantMessage(fields, at));
    else throw badField(`${at}.role`, `${at}.role is system, developer, user, assistant or tool, not ${quoted(role)}`);
    const last = messages.at(-1) as Message;
    const calls = last.role === "assistant" ? (last.toolCalls ?? []) : [];
    open = new Map(calls.map(({ id, name }) => [id, name]));
  }
  if (messages.at(-1)?.role === "assistant")
    throw badField("messages", "the last message is the assistant's own; end with the one that it is to answer");
  return messages;
}

function toolMessage(fields: Fields, open: Map<string, string>, at: string): Message {
  const { tool_call_id: id } = fields;
  const toolName = typeof id === "string" ? open.get(id) : undefined;
  if (typeof id !== "string" || toolName === undefined)
    throw badField(
      `${at}.tool_call_id`,
      `${at} answers the tool call ${quoted(id)}, which the assistant did not make just before`,
    );
  open.delete(id);
  return { role: "tool", toolCallId: id, toolName, content: textOf(fields.content, `${at}.content`) };
}

function assistantMessage(fields: Fields, at: string): AssistantMessage {
  const { tool_calls: calls, content } = fields;
  const hasCalls = Array.isArray(calls) && calls.length > 0;
  if (calls !== undefined && calls !== null && !Array.isArray(calls))
    throw badField(`${at}.tool_calls`, `${at}.tool_calls is no list`);
  const text = content === null || content === undefined ? undefined : textOf(content, `${at}.content`);
  if (text === undefined && !hasCalls) throw badField(`${at}.content`, `${at} has neither content nor tool_calls`);
  if (!hasCalls) return { role: "assistant", content: text ?? "" };
  const toolCalls = calls.map((call: unknown, index) => toolCall(call, `${at}.tool_calls[${index}]`));
  if (new Set(toolCalls.map(({ id }) => id)).size < toolCalls.length)
    throw badField(`${at}.tool_calls`, `${at}.tool_calls has two calls of one id`);
  return { role: "assistant", content: text ?? "", toolCalls };
}

function toolCall(value: unknown, at: string): ToolCall {
  const { id, type, function: called } = (typeof value === "object" && value !== null ? value : {}) as Fields;
  const { name, arguments: text } = (typeof called === "object" && called !== null ? called : {}) as Fields;
  if (type !== undefined && type !== "function")
    throw badField(`${at}.type`, `${at}.type is "function", not ${quoted(type)}`);
  if (typeof id !== "string" || id === "" || typeof name !== "string" || typeof text !== "string")
    throw badField(at, `${at} is { id, type: "function", function: { name, arguments } }, all of them texts`);
  try {
    return { id, name, input: text.trim() === "" ? {} : JSON.parse(text) };
  } catch {
    return { id, name, input: undefined, invalidInput: text };
  }
}

/** A content: a text, or parts that are all texts. */
function textOf(content: unknown, at: string): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) throw badField(at, `${at} is a text or a list of text parts`);
  return content.map((part: unknown, index) => partText(part, `${at}[${index}]`)).join("\n");
}

function partText(part: unknown, at: string): string {
  const { type, text } = (typeof part === "object" && part !== null ? part : {}) as Fields;
  if (type === "text" && typeof text === "string") return text;
  throw unsupportedPart(at, type);
}

function unsupportedPart(at: string, type: unknown): GatewayError {
  return badField(
    at,
    `${at} is of type ${quoted(type)}; this model reads parts of type "text" alone`,
    "unsupported_content",
  );
}

/** A value of the client's in a message, cut short. */
export function quoted(value: unknown): string {
  return (JSON.stringify(value) ?? "undefined").slice(0, 80);
}
