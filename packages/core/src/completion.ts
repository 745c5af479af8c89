import type { AgentError } from "./errors.js";
import type { AgentEvent } from "./event.js";
import type { Message } from "./message.js";
import type { FinishReason, SamplingSettings, ToolDefinition } from "./model.js";
import type { OpenStep } from "./session.js";
import type { StopReason } from "./step.js";

/** One step of a conversation that somebody else leads: who keeps the context, runs the tools and decides when to go on. */
export interface CompletionRequest extends SamplingSettings {
  /** The whole context, as the policy is to see it. The last message is not the policy's. */
  readonly messages: readonly Message[];
  /** What the policy may call. Calls are handed back, not run. */
  readonly tools?: readonly ToolDefinition[];
  readonly sessionId: string;
  readonly userId?: string;
  /** The version that is to answer. Default: the one that serves. */
  readonly policyVersion?: string;
  /** Of this one step. Default: derived from the agent's. */
  readonly seed?: number;
  readonly abortSignal?: AbortSignal;
  /** `false`: the step belongs to no session, and neither log nor bus hears of it. Default true. */
  readonly train?: boolean;
}

/** What came of a step that was asked for. */
export interface CompletionResult {
  readonly sessionId: string;
  /** "" when the session could not be read. */
  readonly episodeId: string;
  /** Absent when the policy did not act. Its cost is up to its action. */
  readonly step?: OpenStep;
  readonly finishReason?: FinishReason;
  /** Present when the episode is over. It goes on after tool calls, and after a failure, until the user speaks or the session closes. */
  readonly stopReason?: StopReason;
  /** Present when the step failed. */
  readonly error?: AgentError;
}

/** A step that is being taken. Iterating its events is optional, and `result()` never rejects. */
export interface Completion extends AsyncIterable<AgentEvent> {
  result(): Promise<CompletionResult>;
}
