import { AgentError } from "./errors.js";
import type { AssistantMessage, Message, ToolCall } from "./message.js";
import type { TokenRecord } from "./step.js";

/** What a model is told about a tool: its name, purpose and the JSON Schema of its input. */
export interface ToolDefinition {
  readonly name: string;
  readonly description: string;
  readonly inputSchema: Readonly<Record<string, unknown>>;
}

/**
 * How a response is drawn from a model. A model that cannot do what is asked for refuses the call with `model/unsupported-option`;
 * none leaves a wish out.
 */
export interface SamplingSettings {
  /** Default: the model's own. 0 takes the likeliest token. */
  readonly temperature?: number;
  /** Longest response of one call, in tokens. Default: the model's own. */
  readonly maxTokens?: number;
  /** Tokens are left out once likelier ones hold this share of the probability, 0–1 (nucleus sampling, arXiv:1904.09751). Default: none. */
  readonly topP?: number;
  /** Only so many of the likeliest tokens. Default: all. */
  readonly topK?: number;
  /** Only tokens at least this share as likely as the likeliest, 0–1 (arXiv:2407.01082). Default: all. */
  readonly minP?: number;
  /** The text ends before the first of these strings. Default: none. */
  readonly stop?: readonly string[];
}

/** The settings among an object's fields that are given. @throws AgentError `model/invalid-option`. */
export function samplingSettings(options: SamplingSettings): SamplingSettings {
  const { temperature, maxTokens, topP, topK, minP, stop } = options;
  const wrong = (name: string, what: string, value: unknown) =>
    new AgentError("model/invalid-option", `${name} must be ${what}, not ${JSON.stringify(value) ?? value}`);
  if (temperature !== undefined && !(temperature >= 0)) throw wrong("temperature", "0 or more", temperature);
  if (maxTokens !== undefined && !(maxTokens > 0)) throw wrong("maxTokens", "more than 0", maxTokens);
  if (topP !== undefined && !(topP > 0 && topP <= 1)) throw wrong("topP", "more than 0 and at most 1", topP);
  if (topK !== undefined && !(Number.isInteger(topK) && topK > 0)) throw wrong("topK", "a whole number above 0", topK);
  if (minP !== undefined && !(minP >= 0 && minP <= 1)) throw wrong("minP", "between 0 and 1", minP);
  if (stop?.some((text) => text === "")) throw wrong("stop", "strings that are not empty", stop);
  return Object.fromEntries(
    Object.entries({ temperature, maxTokens, topP, topK, minP, stop }).filter(([, value]) => value !== undefined),
  );
}

/** One model call. */
export interface ModelRequest extends SamplingSettings {
  readonly messages: readonly Message[];
  readonly tools: readonly ToolDefinition[];
  /** Sampling seed; the same request with the same seed gives the same response where the model allows it. */
  readonly seed: number;
  /** The version that is to answer, of a policy that has several. Default: the one that serves. */
  readonly policyVersion?: string;
}

/** What a stream yields while the model writes. */
export type ModelPart =
  | { readonly type: "text-delta"; readonly text: string }
  | { readonly type: "tool-call"; readonly call: ToolCall };

/** Why the model stopped. */
export type FinishReason = "stop" | "tool-calls" | "length" | "aborted";

/** The whole response of one model call. */
export interface ModelResponse {
  readonly message: AssistantMessage;
  readonly finishReason: FinishReason;
  /** `dollars` by the model's price table; absent for a model that costs nothing. */
  readonly usage: { readonly inputTokens: number; readonly outputTokens: number; readonly dollars?: number };
  /** The id of the policy version that sampled, for a local policy; the model's name otherwise. */
  readonly policyVersion: string;
  readonly tokens?: TokenRecord;
}

/**
 * A response while it is written. Iterate it for the parts, or await `response()`, or both; either alone drives the call.
 * Iteration and `response()` reject with a ModelError when the call fails; an abort resolves with what was written so far.
 */
export interface ModelStream extends AsyncIterable<ModelPart> {
  response(): Promise<ModelResponse>;
}

/** Anything that answers messages with a message. */
export interface LanguageModel {
  readonly name: string;
  /** The version that a call made now would run on. */
  policyVersion(): string;
  /** Must not throw: failures reject the stream. */
  generate(request: ModelRequest, options: { readonly signal: AbortSignal }): ModelStream;
}
