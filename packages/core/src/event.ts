import type { MemoryOperation, MemoryRecord } from "./memory.js";
import type { Message, ToolCall } from "./message.js";
import type { FinishReason, ToolDefinition } from "./model.js";
import type { Plan } from "./planner.js";
import type { Action, NextState, Signal, StepCost, StepRef, StopReason, TokenRecord, ToolResult } from "./step.js";

/** What every event carries. */
export interface EventEnvelope {
  readonly id: string;
  /** Milliseconds since the epoch, from the agent's clock. */
  readonly time: number;
  /** "" for events that belong to no session (policy-update and its kin). */
  readonly sessionId: string;
  readonly episodeId: string;
  /** −1 outside a step. */
  readonly stepIndex: number;
  readonly policyVersion: string;
}

/** The payload of every event, by type. */
export interface EventPayloads {
  // episode lifecycle
  /** `led`: somebody else keeps the context, runs the tools and asks for each step. */
  "episode-start": { readonly prompt: string; readonly userId?: string; readonly seed: number; readonly led?: true };
  "episode-end": { readonly stopReason: StopReason; readonly answer: string; readonly cost: StepCost };
  // step lifecycle
  "step-start": Record<never, never>;
  /**
   * `added` are the messages that joined the context since the session's previous observation (after a compaction: since that).
   * `guidance` is learned text that this step saw besides: see `withGuidance`. It does not join the context. `tools` are what whoever leads
   * let the policy call, where that is not what it was at the session's previous observation.
   */
  observation: {
    readonly added: readonly Message[];
    readonly guidance?: string;
    readonly tools?: readonly ToolDefinition[];
  };
  "memory-recall": { readonly query: string; readonly memories: readonly MemoryRecord[] };
  "plan-start": { readonly goal: string };
  "plan-expand": { readonly path: readonly string[]; readonly visits: number; readonly value: number };
  "plan-end": { readonly plan?: Plan };
  "text-delta": { readonly text: string };
  action: { readonly action: Action; readonly finishReason: FinishReason; readonly tokens?: TokenRecord };
  "tool-call": { readonly call: ToolCall };
  "tool-progress": { readonly callId: string; readonly progress: unknown };
  "tool-result": { readonly result: ToolResult };
  "approval-request": { readonly call: ToolCall; readonly reason: string };
  /** `of` is the step that the next state belongs to: an earlier episode's last step when the user replied. */
  "next-state": { readonly of: StepRef; readonly nextState: NextState };
  "memory-write": { readonly operations: readonly MemoryOperation[] };
  /** Told in every episode that it concerns, also where it was made earlier in the session. */
  decision: {
    readonly name: string;
    readonly choice: string;
    readonly alternatives: readonly string[];
    readonly propensity: number;
    readonly features: Readonly<Record<string, number>>;
  };
  /** The context was replaced; `messages` is the whole new context. */
  compaction: { readonly messages: readonly Message[]; readonly removed: number };
  "step-end": { readonly cost: StepCost };
  // learning
  signal: { readonly of: StepRef; readonly signal: Signal };
  feedback: { readonly of: StepRef; readonly score?: number; readonly correction?: string };
  "policy-update": {
    readonly candidate: string;
    readonly parent: string;
    readonly samples: number;
    readonly metrics: Readonly<Record<string, number>>;
  };
  "policy-promotion": {
    readonly version: string;
    readonly parent: string;
    readonly gate: Readonly<Record<string, number>>;
  };
  "policy-rollback": { readonly from: string; readonly to: string; readonly reason: string };
  /** A user is not to be learned from, by SHA-256 of the user's id; or, lifted, may be from now on. */
  unlearn: { readonly userHash: string; readonly lifted: boolean };
  /** A record that was taken out of the log: see `eraseSessions`. */
  erased: Record<never, never>;
  /** Something that a person should look at. `critical`: something was kept from being trained on or served. */
  alarm: {
    readonly name: string;
    readonly severity: "warning" | "critical";
    readonly message: string;
    readonly numbers: Readonly<Record<string, number>>;
  };
  // trouble
  abort: { readonly reason: string };
  error: { readonly code: string; readonly message: string };
}

/** The name of an event: noun, then verb. */
export type EventType = keyof EventPayloads;
/** One event of type `T`. */
export type EventOf<T extends EventType> = { [K in T]: EventEnvelope & { readonly type: K } & EventPayloads[K] }[T];
/** Any event of an agent. */
export type AgentEvent = EventOf<EventType>;
