import type { AssistantMessage, Message, ToolCall, ToolDefinition } from "@afterstate/core";
import { beforeAny } from "./stop-strings.js";

/** How a family of models writes tool calls. Its rendering is the chat template's wherever the template knows tools. */
export interface ToolCallFormat {
  readonly name: "hermes" | "llama3" | "smollm2";
  /** Reads text and tool calls off a response. Must not throw: what cannot be read is a call with `invalidInput`. */
  parse(text: string, callId: (index: number) => string): AssistantMessage;
  /** How many characters of a response that is still being written are surely text, and not (the beginning of) a call. */
  textLength(text: string): number;
  /** Messages as the chat template takes them: calls that it does not render become text, the tools that it does not list a system message. */
  arrange(messages: readonly Message[], tools: readonly ToolDefinition[]): readonly Message[];
}

/** The format that a chat template asks for. */
export function toolCallFormatOf(chatTemplate: string): ToolCallFormat {
  if (chatTemplate.includes("<tool_call>")) return HERMES;
  if (chatTemplate.includes("<|python_tag|>") || /"parameters":/.test(chatTemplate)) return LLAMA3;
  return /\btool_calls\b|\btools\b/.test(chatTemplate) ? HERMES : SMOLLM2;
}

const OPEN = "<tool_call>";
const CLOSE = "</tool_call>";
const PYTHON_TAG = "<|python_tag|>";

/** Qwen and Hermes: `<tool_call>{"name": …, "arguments": …}</tool_call>`, as often as there are calls. */
const HERMES: ToolCallFormat = {
  name: "hermes",
  parse: parseTagged,
  textLength: taggedTextLength,
  arrange: (messages) => messages,
};

/**
 * Llama 3.1 to 3.3: the whole response is `{"name": …, "parameters": …}`, several of them after one another or with `;` between, or what
 * follows `<|python_tag|>`: these, or a built-in tool as `name.call(query="…")`. The template holds one call a message, so a message of several is laid out as several, each with its result.
 */
const LLAMA3: ToolCallFormat = {
  name: "llama3",
  parse(text, callId) {
    const tag = text.indexOf(PYTHON_TAG);
    const body = tag === -1 ? text : text.slice(tag + PYTHON_TAG.length);
    const builtIn = tag === -1 ? undefined : builtInCall(body, callId(0));
    const calls =
      builtIn === undefined ? splitObjects(body).map((piece, index) => callOf(piece, callId(index))) : [builtIn];
    const isCall =
      tag !== -1 ||
      /^\s*\{\s*"(type"\s*:\s*"function"\s*,\s*"name|name"\s*:\s*"[^"]*"\s*,\s*"(parameters|arguments))"/.test(text);
    if (!isCall || calls.length === 0) return { role: "assistant", content: text };
    return { role: "assistant", content: tag === -1 ? "" : text.slice(0, tag), toolCalls: calls };
  },
  textLength(text) {
    return /^\s*($|\{)/.test(text) ? 0 : beforeAny(text, [PYTHON_TAG]);
  },
  arrange: (messages) =>
    messages.flatMap((message, index) => oneCallEach(message, messages.slice(index + 1), messages)),
};

/** SmolLM2: its template knows no tools. What it was trained on stands on the model's card: a system message, and a list of calls in one tag. */
const SMOLLM2: ToolCallFormat = {
  name: "smollm2",
  parse: parseTagged,
  textLength: taggedTextLength,
  arrange(messages, tools) {
    const spoken = messages.map(spokenOut);
    if (tools.length === 0) return spoken;
    const [first, ...rest] = spoken;
    const instructions = smollm2Instructions(tools);
    return first?.role === "system"
      ? [{ role: "system", content: `${first.content}\n\n${instructions}` }, ...rest]
      : [{ role: "system", content: instructions }, ...spoken];
  },
};

/** Calls and results as text. */
function spokenOut(message: Message): Message {
  if (message.role === "tool")
    return { role: "user", content: `<tool_response>\n${message.content}\n</tool_response>` };
  if (message.role !== "assistant" || (message.toolCalls ?? []).length === 0) return message;
  const calls = message.toolCalls!.map(hermesJson).join(",\n");
  return { role: "assistant", content: `${message.content}${OPEN}[\n${calls}\n]${CLOSE}` };
}

function smollm2Instructions(tools: readonly ToolDefinition[]): string {
  const described = tools.map(({ name, description, inputSchema }) =>
    spacedJson({ type: "function", function: { name, description, parameters: inputSchema } }),
  );
  return `You are an expert in composing functions. You are given a question and a set of possible functions. 
Based on the question, you will need to make one or more function/tool calls to achieve the purpose. 
If none of the functions can be used, point it out and refuse to answer. 
If the given question lacks the parameters required by the function, also point it out.

You have access to the following tools:
<tools>[${described.join(", ")}]</tools>

The output MUST strictly adhere to the following format, and NO other text MUST be included.
The example format is as follows. Please make sure the parameter type is correct. If no function call is needed, please make the tool calls an empty list '[]'.
<tool_call>[
{"name": "func_name1", "arguments": {"argument1": "value1", "argument2": "value2"}},
... (more tool calls as required)
]</tool_call>`;
}

/** Reads text and Hermes tool calls (`<tool_call>{"name": …, "arguments": …}</tool_call>`, or a list of them) off a response. */
export function parseTagged(text: string, callId: (index: number) => string): AssistantMessage {
  const toolCalls: ToolCall[] = [];
  let content = "";
  let rest = text;
  for (;;) {
    const start = rest.indexOf(OPEN);
    if (start === -1) break;
    const between = rest.slice(0, start);
    // The line break before a call is the template's, not the text's.
    if (toolCalls.length === 0 || between.trim() !== "") content += between.replace(/\n$/, "");
    const end = rest.indexOf(CLOSE, start);
    const body = rest.slice(start + OPEN.length, end === -1 ? undefined : end);
    for (const piece of listed(body)) toolCalls.push(callOf(piece, callId(toolCalls.length)));
    rest = end === -1 ? "" : rest.slice(end + CLOSE.length);
  }
  if (toolCalls.length === 0 || rest.trim() !== "") content += rest;
  return { role: "assistant", content, ...(toolCalls.length > 0 ? { toolCalls } : {}) };
}

function taggedTextLength(text: string): number {
  const safe = beforeAny(text, [OPEN]);
  return safe > 0 && text[safe - 1] === "\n" ? safe - 1 : safe;
}

/** The calls in one tag: one, or the elements of a list. */
function listed(body: string): readonly string[] {
  if (!body.trimStart().startsWith("[")) return [body];
  try {
    return (JSON.parse(body) as unknown[]).map((call) => JSON.stringify(call));
  } catch {
    return [body];
  }
}

/** JSON objects that follow one another, `;` or white space between; what is none is one piece. */
function splitObjects(text: string): readonly string[] {
  const pieces: string[] = [];
  let [depth, start, quoted] = [0, 0, false];
  for (let i = 0; i < text.length; i++) {
    const letter = text[i]!;
    if (quoted) {
      if (letter === "\\") i++;
      else if (letter === '"') quoted = false;
    } else if (letter === '"') quoted = true;
    else if (letter === "{") depth++;
    else if (letter === "}" && --depth === 0) {
      pieces.push(text.slice(start, i + 1));
      start = i + 1;
    }
  }
  return [...pieces, text.slice(start)]
    .map((piece) => piece.replace(/^[\s;]+|[\s;]+$/g, ""))
    .filter((piece) => piece !== "");
}

/** A call of a built-in tool of Llama 3.1; undefined when the text is none. */
function builtInCall(text: string, id: string): ToolCall | undefined {
  const pair = String.raw`(\w+)\s*=\s*("(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?|true|false)`;
  const form = new RegExp(String.raw`^\s*(\w+)\.call\((\s*${pair}(?:\s*,\s*${pair})*)?\s*\)\s*$`, "s");
  const [, name, list = ""] = form.exec(text) ?? [];
  if (name === undefined) return undefined;
  const pairs = [...list.matchAll(new RegExp(pair, "gs"))];
  return { id, name, input: Object.fromEntries(pairs.map(([, key, value]) => [key, literal(value!)])) };
}

/** The template writes texts as they are, so that what looks like JSON need not be. */
function literal(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return value.slice(1, -1);
  }
}

/** One call off its JSON; `arguments` and `parameters` mean the same. */
function callOf(body: string, id: string): ToolCall {
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed === "object" && parsed !== null && "name" in parsed && typeof parsed.name === "string") {
      const {
        name,
        arguments: input,
        parameters,
      } = parsed as { name: string; arguments?: unknown; parameters?: unknown };
      return { id, name, input: input ?? parameters ?? {} };
    }
  } catch {
    // Not JSON: told to the policy as invalid input.
  }
  const name = body.match(/"name"\s*:\s*"([^"]*)"/)?.[1] ?? "";
  return { id, name, input: undefined, invalidInput: body };
}

/** A message of several calls as several messages, each followed by its result. Results that have been placed are left out later. */
function oneCallEach(message: Message, later: readonly Message[], all: readonly Message[]): readonly Message[] {
  const several = (candidate: Message) => candidate.role === "assistant" && (candidate.toolCalls?.length ?? 0) > 1;
  if (message.role === "tool") {
    const owner = all.find((other) => several(other) && callIds(other).includes(message.toolCallId));
    return owner === undefined ? [message] : [];
  }
  if (message.role !== "assistant" || !several(message)) return [message];
  return message.toolCalls!.flatMap((call) => [
    { ...message, toolCalls: [call] },
    ...later.filter((other) => other.role === "tool" && other.toolCallId === call.id),
  ]);
}

function callIds(message: Message): readonly string[] {
  return message.role === "assistant" ? (message.toolCalls ?? []).map(({ id }) => id) : [];
}

/** A call as Hermes models write it. */
function hermesJson({ name, input, invalidInput }: ToolCall): string {
  return invalidInput ?? spacedJson({ name, arguments: input });
}

/** JSON as Python writes it, which is what models were trained on: a space after each comma and colon. */
export function spacedJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(spacedJson).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  return `{${fields.map(([key, field]) => `${JSON.stringify(key)}: ${spacedJson(field)}`).join(", ")}}`;
}
