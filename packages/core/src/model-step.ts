import { isDeepStrictEqual } from "node:util";
import type { AbortWatch } from "./abort-watch.js";
import type { EpisodeEvents } from "./episode-events.js";
import { AgentError, messageOf } from "./errors.js";
import { withGuidance } from "./guidance.js";
import type { AgentHooks } from "./hooks.js";
import type { LoopParts } from "./loop-parts.js";
import { withDecisions } from "./make-decisions.js";
import type { FinishReason, ModelRequest } from "./model.js";
import { callModel } from "./model-call.js";
import { noCost, type OpenStep, type Session } from "./session.js";
import type { Steering } from "./steering.js";
import type { Action, StepCost } from "./step.js";

/** What a step is taken with: by the loop, or where somebody else leads. */
export interface StepTaking {
  readonly parts: LoopParts;
  readonly session: Session;
  readonly events: EpisodeEvents;
  readonly watch: AbortWatch;
  readonly episodeId: string;
  readonly index: number;
  readonly steering: Steering;
  /** What is asked of the model beside the messages. */
  readonly asked: Omit<ModelRequest, "messages">;
  /** Somebody else leads: the log is told of tools that are new, and the version that begins also finishes, whatever is tried again. */
  readonly led?: boolean;
}

/** A step that has acted, or why it could not. Its `step-end` is yet to come. */
export type StepTaken =
  | { readonly step: OpenStep; readonly finishReason: FinishReason; readonly startedAt: number }
  | { readonly cause: unknown; readonly startedAt: number };

/** Shows the policy the session's context and takes its action in, up to the `action` event. */
export async function takeStep(taking: StepTaking): Promise<StepTaken> {
  const { parts, session, events, watch, index, steering, asked } = taking;
  const { model, hooks, strategy, clock } = parts;
  const startedAt = clock.now();
  events.stepIndex = index;
  events.policyVersion = asked.policyVersion ?? model.policyVersion();
  events.emit("step-start", {});
  const messages = session.messages.slice();
  const guided = steering.guidance === undefined ? undefined : withGuidance(messages, steering.guidance);
  const guidance = guided && steering.guidance !== undefined ? { guidance: steering.guidance } : {};
  const given = taking.led && !isDeepStrictEqual(session.tools, asked.tools) ? { tools: asked.tools } : {};
  events.emit("observation", { added: messages.slice(session.observed), ...guidance, ...given });
  session.observed = messages.length;
  session.tools = taking.led ? asked.tools : undefined;
  session.closed = false;
  session.waiting = undefined;
  try {
    let request: ModelRequest = withDecisions({ messages: guided ?? messages, ...asked }, steering.decisions);
    for (const hook of hooks.beforeModel) request = await rewritten(hook, request, session.id);
    if (taking.led) request = { ...request, policyVersion: request.policyVersion ?? model.policyVersion() };
    if (request.policyVersion !== undefined) events.policyVersion = request.policyVersion;
    const response = await callModel({
      model,
      strategy,
      request,
      watch,
      clock,
      onText: (text) => events.textDelta(text),
      onRetry: ({ code, message }, pauseMs) =>
        events.emit("error", { code, message: `${message} (trying again in ${pauseMs} ms)` }),
    });
    const { message, finishReason, usage, tokens } = response;
    const calls = message.toolCalls ?? [];
    const action: Action = calls.length > 0 ? { kind: "tool", message, calls } : { kind: "answer", message };
    const { inputTokens, outputTokens, dollars = 0 } = usage;
    const step: OpenStep = {
      index,
      observation: { messages, ...guidance },
      action,
      policyVersion: response.policyVersion,
      cost: { inputTokens, outputTokens, dollars, durationMs: clock.now() - startedAt },
      ...(tokens && { tokens }),
    };
    events.policyVersion = response.policyVersion;
    events.emit("action", { action, finishReason, ...(tokens && { tokens }) });
    if (message.content !== "" || calls.length > 0) session.messages.push(message);
    session.pending = { episodeId: taking.episodeId, stepIndex: index };
    return { step, finishReason, startedAt };
  } catch (cause) {
    return { cause, startedAt };
  }
}

/** Emits the end of a step; the next events are outside of any. */
export function endStep(events: EpisodeEvents, cost: StepCost): void {
  events.emit("step-end", { cost });
  events.stepIndex = -1;
}

/** What a step that could not act has cost. */
export function costOfFailure({ clock }: LoopParts, startedAt: number): StepCost {
  return { ...noCost, durationMs: clock.now() - startedAt };
}

async function rewritten(
  hook: NonNullable<AgentHooks["beforeModel"]>,
  request: ModelRequest,
  sessionId: string,
): Promise<ModelRequest> {
  try {
    return (await hook({ request, sessionId })) ?? request;
  } catch (cause) {
    const message = `the model was not called, because a hook failed: ${messageOf(cause)}`;
    throw new AgentError("hook/failed", message, { cause });
  }
}
