import type { Clock } from "./clock.js";
import type { Completion, CompletionRequest } from "./completion.js";
import type { AgentEvent } from "./event.js";
import type { EventBus } from "./event-bus.js";
import type { EventLog } from "./event-log.js";
import type { LanguageModel, SamplingSettings } from "./model.js";
import type { Plugin } from "./plugin.js";
import type { Trajectory } from "./step.js";

/** What an agent is made of. */
export interface AgentOptions extends SamplingSettings {
  readonly model: LanguageModel;
  readonly instructions?: string;
  readonly plugins?: readonly Plugin[];
  /** All randomness of the agent derives from it. Default: drawn from the system. */
  readonly seed?: number;
  readonly clock?: Clock;
  /** Where every event but text-delta, tool-progress and plan-expand is kept. Without it nothing outlives the process. The agent does not close it. */
  readonly log?: EventLog;
  readonly budget?: Budget;
  /** Sessions close when nothing has happened in them for so long; see `closeIdleSessions`. Default: never. */
  readonly sessionIdleMs?: number;
  /** Compaction runs between steps when the context is longer than this many tokens (4 characters = 1 token). Default: never. */
  readonly maxContextTokens?: number;
}

/** Limits of one run, checked before each call. */
export interface Budget {
  /** Default 16. */
  readonly maxSteps?: number;
  readonly maxTotalTokens?: number;
  readonly maxDollars?: number;
  readonly maxDurationMs?: number;
}

/** One run of the agent over one prompt. */
export interface RunRequest {
  readonly prompt: string;
  /** Runs of one session share a conversation; the prompt is the next state of the session's last step. Default: a new session. */
  readonly sessionId?: string;
  /** Whose memories may be recalled. Without it memory is not used. */
  readonly userId?: string;
  readonly abortSignal?: AbortSignal;
  readonly seed?: number;
}

/** What came of a run. */
export interface RunResult extends Trajectory {
  /** The text of the last answer, partial when aborted. */
  readonly answer: string;
  /** Present when the run failed. */
  readonly error?: { readonly code: string; readonly message: string };
}

/** A judgement given in so many words, by a person or a program. */
export interface Feedback {
  /** −1 (bad) to +1 (good). */
  readonly score?: number;
  /** What should have been done. */
  readonly correction?: string;
}

/** A person's verdict on the tool calls that a run asked about. */
export interface Approval {
  readonly approved: boolean;
  /** Shown to the model when the calls were refused. */
  readonly reason?: string;
  readonly abortSignal?: AbortSignal;
}

/** A run while it goes on. Iterating is optional: the run proceeds either way, and `result()` never rejects. */
export interface Run extends AsyncIterable<AgentEvent> {
  readonly episodeId: string;
  readonly sessionId: string;
  result(): Promise<RunResult>;
  /** Judges the run's last step. */
  feedback(feedback: Feedback): Promise<void>;
}

/** An agent. Runs of different sessions go on side by side; those of one session one after the other. */
export interface Agent {
  stream(request: RunRequest): Run;
  /** Takes one step over a context that the caller keeps. Steps of one session come one after the other. @throws AgentError `agent/invalid-context`. */
  complete(request: CompletionRequest): Completion;
  /** Judges an earlier run, also of another process over the same log. @throws AgentError `agent/unknown-episode`. */
  feedback(episodeId: string, feedback: Feedback): Promise<void>;
  /**
   * Goes on with a run that waits for approval, also in another process over the same log. When the episode does not
   * wait, iterating throws AgentError `agent/not-waiting` and the result carries that code; nothing is logged.
   */
  resume(episodeId: string, approval: Approval): Run;
  /** Ends a session: its last step gets a `closed` next state, unless it waits for approval, and an episode that somebody else leads ends. */
  closeSession(sessionId: string, by: "header" | "call" | "idle"): Promise<void>;
  readonly events: EventBus;
  /** Waits for running episodes, then disposes plugins in reverse order. */
  close(): Promise<void>;
}
