import type { AssistantMessage, Message, ToolCall } from "./message.js";

/** Points at one step, across processes. */
export interface StepRef {
  readonly episodeId: string;
  readonly stepIndex: number;
}

/** What the policy sees before it acts; the token ids, where there are any, are in the token record. */
export interface Observation {
  readonly messages: readonly Message[];
  /** Learned text that it sees besides: see `withGuidance`. */
  readonly guidance?: string;
}

/** What the policy emitted in one step (one model call). */
export type Action = TextAction | ToolAction | MemoryAction | PlanAction | AnswerAction;
/** The kind of an action; rewards are normalised per kind. */
export type ActionKind = Action["kind"];

/** Text that does not end the episode. */
export interface TextAction {
  readonly kind: "text";
  readonly message: AssistantMessage;
}
/** One or more tool calls. */
export interface ToolAction {
  readonly kind: "tool";
  readonly message: AssistantMessage;
  readonly calls: readonly ToolCall[];
}
/** Memory operations that the policy itself chose. */
export interface MemoryAction {
  readonly kind: "memory";
  readonly message: AssistantMessage;
}
/** A plan that the policy itself wrote. */
export interface PlanAction {
  readonly kind: "plan";
  readonly message: AssistantMessage;
}
/** The answer to the user; it ends the episode. */
export interface AnswerAction {
  readonly kind: "answer";
  readonly message: AssistantMessage;
}

/**
 * Exactly what a local policy sampled. Made when sampling, never re-tokenised afterwards.
 * `ids`, `logProbs` and `mask` have one entry a response token. [tokens]
 */
export interface TokenRecord {
  readonly promptIds: readonly number[];
  readonly ids: readonly number[];
  /**
   * log π_behaviour of each id under the whole softmax at the sampling temperature, in nats, as a full forward pass gives it. 0 where the
   * mask is 0. A limit (top-p, top-k, min-p, a grammar) does not change it: a token that is the policy's own was drawn from the whole
   * softmax and happened to keep within, so its importance ratio is π_θ ÷ π_behaviour with no correction. What limits forced is masked,
   * and a policy that is to learn from all it writes samples without them.
   */
  readonly logProbs: readonly number[];
  /** 1 = sampled by the policy, 0 = forced (template, tool output, a limit or grammar). */
  readonly mask: readonly number[];
  readonly temperature: number;
}

/** What one step used and cost. */
export interface StepCost {
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** In US dollars, by the price table of the model; 0 for a local policy. */
  readonly dollars: number;
  readonly durationMs: number;
}

/** What the world showed after an action. */
export type NextState =
  | { readonly kind: "user"; readonly text: string }
  | { readonly kind: "tool"; readonly results: readonly ToolResult[] }
  | { readonly kind: "environment"; readonly observation: string; readonly reward?: number }
  | { readonly kind: "feedback"; readonly score?: number; readonly correction?: string }
  /** The session ended and nothing more was said. */
  | { readonly kind: "closed"; readonly by: "header" | "call" | "idle" };

/** What came back from one tool call; errors are results, too, which the policy sees. */
export interface ToolResult {
  readonly callId: string;
  readonly toolName: string;
  /** The text that the policy sees. */
  readonly content: string;
  readonly isError: boolean;
  /** The code of the error, e.g. `tool/timeout`. */
  readonly errorCode?: string;
  readonly durationMs: number;
}

/** A judgement of one step, read off its next state. */
export type Signal =
  | {
      readonly kind: "reward";
      /** Who judged: a judge's name, "verifier:…", "feedback". */
      readonly source: string;
      /** −1, 0 or +1 from a judge; any finite number from a verifier or feedback. */
      readonly value: number;
      readonly votes?: readonly number[];
      /** Share of right verdicts on labelled steps, 0–1; 1 for verifiers. */
      readonly reliability: number;
    }
  | {
      readonly kind: "hint";
      readonly source: string;
      /** Advice that would have led to a better action, as the teacher will see it. */
      readonly text: string;
      readonly reliability: number;
      /** What it was measured to do to the policy that sees it, where that was measured; in the unit of what measured it. */
      readonly effect?: number;
      /** Why nothing is taught by it: it was measured and did no good. */
      readonly rejected?: string;
    };

/** One step of an episode. */
export interface Step {
  readonly index: number;
  readonly observation: Observation;
  readonly action: Action;
  readonly nextState?: NextState;
  readonly signals: readonly Signal[];
  readonly policyVersion: string;
  readonly cost: StepCost;
  readonly tokens?: TokenRecord;
}

/** Why an episode stopped. The first three end by themselves (terminated), the others are cut (truncated). */
export type StopReason =
  | "answered"
  | "environment-terminated"
  | "failed"
  | "max-steps"
  | "budget"
  | "aborted"
  | "awaiting-approval"
  | "repeated-errors";

/** The record of one episode. */
export interface Trajectory {
  readonly id: string;
  readonly sessionId: string;
  readonly userId?: string;
  readonly steps: readonly Step[];
  readonly stopReason: StopReason;
  readonly outcome?: number;
}
