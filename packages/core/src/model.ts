import type { AssistantMessage, Message, ToolCall } from "./message.js";
import type { TokenRecord } from "./step.js";

/** What a model is told about a tool: its name, purpose and the JSON Schema of its input. */
export interface ToolDefinition {
  readonly name: string;
  readonly description: string;
  readonly inputSchema: Readonly<Record<string, unknown>>;
}

/** One model call. */
export interface ModelRequest {
  readonly messages: readonly Message[];
  readonly tools: readonly ToolDefinition[];
  /** Sampling seed; the same request with the same seed gives the same response where the model allows it. */
  readonly seed: number;
  readonly temperature?: number;
  readonly maxTokens?: number;
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
