import type { Message, SamplingSettings, ToolDefinition } from "@afterstate/core";
import { parseMessages, quoted } from "./chat-messages.js";
import { badField } from "./gateway-error.js";

type Fields = Readonly<Record<string, unknown>>;

/** What a client asks for. */
export interface ChatRequest {
  /** As it was sent: a name, or a name and a version. */
  readonly model: string;
  readonly messages: readonly Message[];
  /** Empty when calls were forbidden. */
  readonly tools: readonly ToolDefinition[];
  readonly user?: string;
  readonly seed?: number;
  readonly sampling: SamplingSettings;
  readonly logprobs: boolean;
  readonly stream: boolean;
  /** Whether a stream ends with what it used. */
  readonly includeUsage: boolean;
}

const MAX_TOOLS = 128;
const MAX_STOPS = 4;

/**
 * Fields that would change the response and cannot be heeded, with the values that change nothing. Any other is refused. What is not
 * known here at all is left alone, as other servers of this interface do.
 */
const NEUTRAL: Readonly<Record<string, (value: unknown) => boolean>> = {
  n: (value) => value === 1,
  frequency_penalty: (value) => value === 0,
  presence_penalty: (value) => value === 0,
  repetition_penalty: (value) => value === 1,
  top_logprobs: (value) => value === 0,
  logit_bias: (value) => typeof value === "object" && Object.keys(value as object).length === 0,
  response_format: (value) => (value as Fields)?.type === "text",
  modalities: (value) => JSON.stringify(value) === '["text"]',
  parallel_tool_calls: (value) => value === true,
  functions: () => false,
  function_call: () => false,
  audio: () => false,
  web_search_options: () => false,
};

/** Reads the body of a chat completion. @throws GatewayError 400 naming the field. */
export function parseChatRequest(body: Fields): ChatRequest {
  const { model, stream, stream_options: streaming, logprobs, user, seed } = body;
  if (typeof model !== "string" || model === "")
    throw badField("model", "model is the name of a model; GET /v1/models lists them");
  for (const [name, isNeutral] of Object.entries(NEUTRAL)) {
    const value = body[name];
    if (value === undefined || value === null || isNeutral(value)) continue;
    throw badField(name, `${name} = ${quoted(value)} cannot be heeded here; leave it out`, "unsupported_parameter");
  }
  const isStream = flag(stream, "stream");
  if (streaming !== undefined && streaming !== null && !isStream)
    throw badField("stream_options", "stream_options goes with stream");
  if (user !== undefined && user !== null && !(typeof user === "string" && /^[^\p{Cc}]{1,256}$/u.test(user)))
    throw badField("user", "user is a text of 1 to 256 characters, no control characters among them");
  if (seed !== undefined && seed !== null && !Number.isSafeInteger(seed))
    throw badField("seed", "seed is a whole number");
  return {
    model,
    messages: parseMessages(body.messages),
    tools: chosenTools(body),
    ...(typeof user === "string" && { user }),
    ...(typeof seed === "number" && { seed }),
    sampling: samplingOf(body),
    logprobs: flag(logprobs, "logprobs"),
    stream: isStream,
    includeUsage: flag((streaming as Fields | undefined | null)?.include_usage, "stream_options.include_usage"),
  };
}

function samplingOf(body: Fields): SamplingSettings {
  const number = (name: string, isGood: (value: number) => boolean, what: string) => {
    const value = body[name];
    if (value === undefined || value === null) return undefined;
    if (typeof value === "number" && isGood(value)) return value;
    throw badField(name, `${name} is ${what}, not ${quoted(value)}`);
  };
  const isCount = (value: number) => Number.isSafeInteger(value) && value > 0;
  const longest = number("max_completion_tokens", isCount, "a whole number above 0");
  const settings = {
    temperature: number("temperature", (value) => value >= 0 && value <= 2, "between 0 and 2"),
    topP: number("top_p", (value) => value > 0 && value <= 1, "more than 0 and at most 1"),
    topK: number("top_k", isCount, "a whole number above 0"),
    minP: number("min_p", (value) => value >= 0 && value <= 1, "between 0 and 1"),
    maxTokens: longest ?? number("max_tokens", isCount, "a whole number above 0"),
    stop: stopsOf(body.stop),
  };
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
}

function stopsOf(value: unknown): readonly string[] | undefined {
  if (value === undefined || value === null) return undefined;
  const stops: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (stops.length <= MAX_STOPS && stops.every((stop) => typeof stop === "string" && stop !== ""))
    return stops as string[];
  throw badField("stop", `stop is a text or a list of at most ${MAX_STOPS} texts, none of them empty`);
}

function chosenTools(body: Fields): readonly ToolDefinition[] {
  const { tools: listed, tool_choice: choice = "auto" } = body;
  const tools = listed === undefined || listed === null ? [] : listed;
  if (!Array.isArray(tools) || tools.length > MAX_TOOLS)
    throw badField("tools", `tools is a list of at most ${MAX_TOOLS} tools`);
  const definitions = tools.map((tool: unknown, index) => toolDefinition(tool, `tools[${index}]`));
  if (new Set(definitions.map(({ name }) => name)).size < definitions.length)
    throw badField("tools", "two tools have one name");
  if (choice === "none") return [];
  if (choice === "auto" || choice === null) return definitions;
  const message = `tool_choice is "auto" or "none"; that a call is made, and which, is up to the model here, not ${quoted(choice)}`;
  throw badField("tool_choice", message, "unsupported_parameter");
}

function toolDefinition(value: unknown, at: string): ToolDefinition {
  const { type, function: described } = (typeof value === "object" && value !== null ? value : {}) as Fields;
  if (type !== "function" || typeof described !== "object" || described === null)
    throw badField(at, `${at} is { type: "function", function: { name, description, parameters } }`);
  const { name, description = "", parameters = { type: "object", properties: {} } } = described as Fields;
  if (typeof name !== "string" || !/^[a-zA-Z0-9_-]{1,64}$/.test(name))
    throw badField(`${at}.function.name`, `${at}.function.name has 1 to 64 letters, digits, "_" and "-"`);
  if (typeof description !== "string")
    throw badField(`${at}.function.description`, `${at}.function.description is no text`);
  if (typeof parameters !== "object" || parameters === null || (parameters as Fields).type !== "object")
    throw badField(`${at}.function.parameters`, `${at}.function.parameters is a JSON Schema of type "object"`);
  return { name, description, inputSchema: parameters as Fields };
}

function flag(value: unknown, name: string): boolean {
  if (value === undefined || value === null) return false;
  if (typeof value === "boolean") return value;
  throw badField(name, `${name} is true or false, not ${quoted(value)}`);
}
