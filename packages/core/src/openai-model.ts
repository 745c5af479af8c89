import type OpenAI from "openai";
import type { ChatCompletionChunk, ChatCompletionCreateParamsStreaming } from "openai/resources/chat/completions";
import { contextTokens } from "./compaction.js";
import { AgentError, messageOf } from "./errors.js";
import type { AssistantMessage, ToolCall } from "./message.js";
import {
  type FinishReason,
  type LanguageModel,
  type ModelPart,
  type ModelRequest,
  type ModelResponse,
  samplingSettings,
} from "./model.js";
import { ModelError } from "./model-error.js";
import { modelStream } from "./model-stream.js";
import { parseToolCall, toOpenaiMessages, toOpenaiTools } from "./openai-messages.js";

const OPENAI_URL = "https://api.openai.com/v1";
const DEFAULT_TIMEOUT_MS = 120_000;

/** Which model, and where. */
export interface OpenaiModelOptions {
  /** The model's name at the endpoint. */
  readonly model: string;
  /** Any endpoint that speaks the chat completions API. Default: OPENAI_BASE_URL of the environment, else OpenAI. */
  readonly baseURL?: string;
  /** Default: OPENAI_API_KEY of the environment. Endpoints other than OpenAI may need none. */
  readonly apiKey?: string;
  /** What tokens cost, in US dollars a million. Default: nothing. */
  readonly prices?: { readonly input: number; readonly output: number };
  /** The longest silence of the endpoint, before the response and within it. */
  readonly timeoutMs?: number;
}

/**
 * A model behind an OpenAI-compatible endpoint. It makes one request a call; trying again is up to the caller.
 *
 * @throws AgentError `model/no-api-key` when OpenAI itself is meant and there is no key.
 */
export function openaiModel(options: OpenaiModelOptions): LanguageModel {
  const { model, timeoutMs = DEFAULT_TIMEOUT_MS, prices } = options;
  const baseURL = options.baseURL ?? process.env.OPENAI_BASE_URL ?? OPENAI_URL;
  const apiKey = options.apiKey ?? process.env.OPENAI_API_KEY;
  if (apiKey === undefined && baseURL === OPENAI_URL) {
    throw new AgentError(
      "model/no-api-key",
      `model "${model}" at ${baseURL} needs an API key; pass apiKey or set OPENAI_API_KEY, or pass the baseURL of another endpoint`,
    );
  }
  let client: Promise<OpenAI> | undefined;
  const connect = async () => {
    const { OpenAI } = await import("openai");
    return new OpenAI({ baseURL, apiKey: apiKey ?? "none", maxRetries: 0, timeout: 2 * timeoutMs, logLevel: "off" });
  };

  const respond = async (request: ModelRequest, signal: AbortSignal, push: (part: ModelPart) => void) => {
    const written = new Response(request, model, prices);
    const silence = new Silence(timeoutMs, signal);
    try {
      client ??= connect();
      const body = requestBody(model, request, baseURL === OPENAI_URL);
      const chunks = await (await client).chat.completions.create(body, { signal: silence.signal });
      for await (const chunk of chunks) {
        silence.broken();
        written.add(chunk, push);
      }
      if (signal.aborted) return written.aborted();
      if (silence.isTooLong) throw silence.error(model, baseURL);
      if (!written.isComplete) throw incomplete(model, baseURL, written.isEmpty);
      return written.response(push);
    } catch (cause) {
      if (signal.aborted) return written.aborted();
      if (silence.isTooLong) throw silence.error(model, baseURL);
      throw endpointError(model, baseURL, cause);
    } finally {
      silence.dispose();
    }
  };

  return {
    name: model,
    policyVersion: () => model,
    generate: (request, { signal }) => modelStream((push) => respond(request, signal, push)),
  };
}

/** `top_k` and `min_p` are no fields of OpenAI's own API, but of most servers that follow it. @throws AgentError `model/unsupported-option`. */
function requestBody(
  model: string,
  request: ModelRequest,
  isOpenai: boolean,
): ChatCompletionCreateParamsStreaming & { readonly top_k?: number; readonly min_p?: number } {
  const { messages, tools, seed } = request;
  const { temperature, maxTokens, topP, topK, minP, stop } = samplingSettings(request);
  for (const [name, value] of Object.entries({ topK, minP })) {
    if (!isOpenai || value === undefined) continue;
    const message = `model "${model}" of OpenAI has no ${name}; leave it out, or use topP`;
    throw new AgentError("model/unsupported-option", message);
  }
  if (request.policyVersion !== undefined && request.policyVersion !== model) {
    const message = `model "${model}" has no versions and cannot answer as "${request.policyVersion}"; leave policyVersion out`;
    throw new AgentError("model/unsupported-option", message);
  }
  const limit = isOpenai ? { max_completion_tokens: maxTokens ?? null } : { max_tokens: maxTokens ?? null };
  return {
    model,
    messages: toOpenaiMessages(messages),
    stream: true,
    stream_options: { include_usage: true },
    seed,
    ...(tools.length > 0 && { tools: toOpenaiTools(tools) }),
    ...(temperature !== undefined && { temperature }),
    ...(maxTokens !== undefined && limit),
    ...(topP !== undefined && { top_p: topP }),
    ...(topK !== undefined && { top_k: topK }),
    ...(minP !== undefined && { min_p: minP }),
    ...(stop !== undefined && { stop: [...stop] }),
  };
}

const FINISH_REASONS: Readonly<Record<string, FinishReason>> = {
  tool_calls: "tool-calls",
  function_call: "tool-calls",
  length: "length",
};

/** A response while its chunks arrive. */
class Response {
  readonly #request: ModelRequest;
  readonly #model: string;
  readonly #prices: OpenaiModelOptions["prices"];
  #content = "";
  readonly #calls: { id: string; name: string; text: string }[] = [];
  #finish: string | undefined;
  #usage: { prompt_tokens: number; completion_tokens: number } | undefined;

  constructor(request: ModelRequest, model: string, prices: OpenaiModelOptions["prices"]) {
    this.#request = request;
    this.#model = model;
    this.#prices = prices;
  }

  get isEmpty(): boolean {
    return this.#content === "" && this.#calls.length === 0;
  }

  get isComplete(): boolean {
    return this.#finish !== undefined;
  }

  add(chunk: ChatCompletionChunk, push: (part: ModelPart) => void): void {
    if (chunk.usage) this.#usage = chunk.usage;
    const choice = chunk.choices?.[0];
    if (!choice) return;
    this.#finish = choice.finish_reason ?? this.#finish;
    const text = choice.delta?.content ?? choice.delta?.refusal;
    if (text) {
      this.#content += text;
      push({ type: "text-delta", text });
    }
    for (const part of choice.delta?.tool_calls ?? []) {
      const index = part.index ?? this.#calls.length;
      this.#calls[index] ??= { id: `call-${this.#request.seed}-${index}`, name: "", text: "" };
      const call = this.#calls[index];
      if (part.id) call.id = part.id;
      call.name ||= part.function?.name ?? "";
      call.text += part.function?.arguments ?? "";
    }
  }

  response(push: (part: ModelPart) => void): ModelResponse {
    const toolCalls = this.#calls.filter(Boolean).map(({ id, name, text }) => parseToolCall(id, name, text));
    for (const call of toolCalls) push({ type: "tool-call", call });
    return this.#conclude(FINISH_REASONS[this.#finish ?? ""] ?? "stop", toolCalls);
  }

  /** What was written when the caller aborted; tool calls that may be half written are left out. */
  aborted(): ModelResponse {
    return this.#conclude("aborted", []);
  }

  #conclude(finishReason: FinishReason, toolCalls: readonly ToolCall[]): ModelResponse {
    const text: AssistantMessage = { role: "assistant", content: this.#content };
    const message = toolCalls.length > 0 ? { ...text, toolCalls } : text;
    const inputTokens = this.#usage?.prompt_tokens ?? contextTokens(this.#request.messages);
    const outputTokens = this.#usage?.completion_tokens ?? contextTokens([message]);
    const { input = 0, output = 0 } = this.#prices ?? {};
    const dollars = (inputTokens * input + outputTokens * output) / 1e6;
    const usage = { inputTokens, outputTokens, ...(this.#prices && { dollars }) };
    return { message, finishReason, usage, policyVersion: this.#model };
  }
}

/** Watches over an endpoint that may fall silent. Owns a timer until disposed. */
class Silence {
  readonly #controller = new AbortController();
  readonly #ms: number;
  readonly #outer: AbortSignal;
  #timer: ReturnType<typeof setTimeout> | undefined;
  isTooLong = false;

  constructor(ms: number, outer: AbortSignal) {
    this.#ms = ms;
    this.#outer = outer;
    if (outer.aborted) this.#onAbort();
    outer.addEventListener("abort", this.#onAbort);
    this.broken();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Something came. */
  broken(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#onTimeout, this.#ms);
  }

  error(model: string, baseURL: string): ModelError {
    const message = `model "${model}" at ${baseURL} sent nothing for ${this.#ms} ms; check that the endpoint is well, or raise timeoutMs`;
    return new ModelError(message, { retryable: true });
  }

  dispose(): void {
    clearTimeout(this.#timer);
    this.#outer.removeEventListener("abort", this.#onAbort);
  }

  readonly #onTimeout = () => {
    this.isTooLong = true;
    this.#controller.abort();
  };

  readonly #onAbort = () => this.#controller.abort(this.#outer.reason);
}

function incomplete(model: string, baseURL: string, isEmpty: boolean): ModelError {
  const what = isEmpty
    ? "answered with something that is not a chat completion stream; check that the base URL ends in the API's version, like /v1"
    : "ended its stream before the response was whole; try again";
  return new ModelError(`model "${model}" at ${baseURL} ${what}`, { retryable: !isEmpty });
}

/** What the openai package threw, as a sentence with a remedy. */
function endpointError(model: string, baseURL: string, cause: unknown): ModelError {
  if (AgentError.isInstance(cause)) return cause as ModelError;
  const { status, headers, error } = cause as {
    status?: number;
    headers?: Headers;
    error?: { message?: unknown };
  };
  const where = `model "${model}" at ${baseURL}`;
  if (status === undefined) {
    if (cause instanceof SyntaxError) {
      const message = `${where} sent something that is not JSON: ${cause.message}; check that it speaks the chat completions API`;
      return new ModelError(message, { cause });
    }
    const message = `${where} could not be reached or broke off: ${rootCause(cause)}; check that it runs and can be reached`;
    return new ModelError(message, { cause, retryable: true });
  }
  const said = typeof error?.message === "string" ? error.message : messageOf(cause);
  const retryAfter = Number(headers?.get?.("retry-after") ?? Number.NaN);
  return new ModelError(`${where} failed with status ${status}: ${said}; ${remedy(status)}`, {
    cause,
    status,
    retryable: status === 408 || status === 409 || status === 429 || status >= 500,
    ...(retryAfter >= 0 && { retryAfterMs: retryAfter * 1000 }),
  });
}

function remedy(status: number): string {
  if (status === 401 || status === 403) return "check the API key and what it may use";
  if (status === 404) return "check the model's name and the base URL";
  if (status === 429) return "wait, or raise the endpoint's rate limit";
  if (status >= 500) return "the endpoint is in trouble; try again later";
  return "check the request: messages, tools and limits";
}

/** The message of the innermost cause: "fetch failed" says nothing, ECONNREFUSED does. */
function rootCause(thrown: unknown): string {
  let innermost = thrown;
  while (innermost instanceof Error && innermost.cause !== undefined) innermost = innermost.cause;
  return messageOf(innermost) || messageOf(thrown);
}
