import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { type Agent, type Clock, type Completion, type CompletionResult, mixSeed } from "@afterstate/core";
import type { PolicyRuntime } from "../types.js";
import type { Admission } from "./admission.js";
import { quoted } from "./chat-messages.js";
import { type ChatRequest, parseChatRequest } from "./chat-request.js";
import { chatChunks, chatCompletion, type FinishedResponse, logprobsOf, type ResponseHead } from "./chat-response.js";
import { completionId } from "./completion-id.js";
import type { Conversations } from "./conversations.js";
import { asGatewayError, badField, GatewayError } from "./gateway-error.js";
import type { GatewayMetrics } from "./gateway-metrics.js";
import { eventStream, sendJson } from "./send.js";
import { sessionFields } from "./session-fields.js";

/** What answering takes. */
export interface ChatParts {
  readonly agent: Agent;
  readonly policy: PolicyRuntime | undefined;
  readonly modelName: string;
  /** The version that serves, or the name of the model behind. */
  readonly agentVersion: () => string;
  readonly admission: Admission;
  readonly conversations: Conversations;
  readonly metrics: GatewayMetrics;
  readonly clock: Clock;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
}

/** A request whose body has been read. */
export interface ChatCall {
  readonly scope: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Aborted with a GatewayError when the client leaves or the gateway stops waiting. */
  readonly abort: AbortController;
}

/** Answers `POST /v1/chat/completions`. @throws GatewayError when nothing has been sent yet. */
export async function answerChat(parts: ChatParts, call: ChatCall): Promise<void> {
  const { agent, policy, modelName, admission, conversations, clock } = parts;
  const { scope, body, request, abort } = call;
  const startedAt = clock.now();
  const chat = parseChatRequest(body);
  const { sessionId: named, isMain, isDone } = sessionFields(request.headers, body);
  const version = versionOf(parts, chat.model);
  if (chat.logprobs && policy === undefined) {
    const message = `model "${modelName}" gives no log-probabilities here; leave logprobs out`;
    throw badField("logprobs", message, "unsupported_parameter");
  }
  const leave = await admission.enter(scope, abort.signal);
  const userId = chat.user === undefined ? scope : `${scope}.${chat.user}`;
  const { messages, tools, sampling, seed } = chat;
  const conversation = isMain ? conversations.enter({ scope, userId, sessionId: named, messages }) : undefined;
  let result: CompletionResult | undefined;
  try {
    const completion = agent.complete({
      ...sampling,
      messages,
      tools,
      sessionId: conversation?.sessionId ?? `${scope}.side`,
      userId,
      abortSignal: abort.signal,
      ...(seed !== undefined && { seed: mixSeed(seed) }),
      ...(version !== undefined && { policyVersion: version }),
      ...(!isMain && { train: false }),
    });
    result = await tell(parts, call, { chat, completion, isMain, startedAt });
  } finally {
    conversation?.leave(result?.stopReason === "aborted" ? undefined : result?.step?.action.message);
    leave();
  }
  const closing = named ?? conversation?.sessionId;
  if (isDone && closing !== undefined) await conversations.close(scope, closing);
}

/** The version that a model's name asks for; undefined for the one that serves. @throws GatewayError 404. */
function versionOf({ modelName, policy }: ChatParts, model: string): string | undefined {
  if (model === modelName) return undefined;
  const version = model.startsWith(`${modelName}@`) ? model.slice(modelName.length + 1) : undefined;
  if (version !== undefined && policy?.versions.includes(version)) return version;
  const message = `the model ${quoted(model)} does not exist here; GET /v1/models lists those that do`;
  throw new GatewayError(404, message, { apiCode: "model_not_found", param: "model" });
}

/** Sends a response while it is written, or when it is whole. */
async function tell(
  parts: ChatParts,
  { response, abort }: ChatCall,
  run: {
    readonly chat: ChatRequest;
    readonly completion: Completion;
    readonly isMain: boolean;
    readonly startedAt: number;
  },
): Promise<CompletionResult> {
  const { policy, metrics, clock, modelName } = parts;
  const { chat, completion, isMain, startedAt } = run;
  const stream = chat.stream ? eventStream(response) : undefined;
  let begun: { readonly head: ResponseHead; readonly chunks: ReturnType<typeof chatChunks> } | undefined;
  /** At the first token: which version answers is certain then. */
  const begin = (episodeId: string, stepIndex: number, policyVersion: string) => {
    metrics.firstToken((clock.now() - startedAt) / 1000);
    const id = isMain ? completionId({ episodeId, stepIndex }) : `chatcmpl-side-${randomUUID()}`;
    const model = policy ? `${modelName}@${policyVersion}` : modelName;
    const head = { id, created: Math.floor(startedAt / 1000), model, policyVersion };
    const chunks = chatChunks(head, chat.includeUsage);
    if (!response.destroyed) response.setHeader("x-policy-version", policyVersion);
    stream?.open();
    stream?.send(chunks.opening());
    return { head, chunks };
  };
  for await (const event of completion) {
    const { episodeId, stepIndex, policyVersion } = event;
    if (event.type === "text-delta" || event.type === "action") begun ??= begin(episodeId, stepIndex, policyVersion);
    if (event.type === "text-delta" && begun) stream?.send(begun.chunks.text(event.text));
    // The model is about to start over, and what was sent cannot be taken back.
    if (event.type === "error" && stream?.isOpen) abort.abort(brokenOff(event.message));
  }
  const result = await completion.result();
  const { step, finishReason } = result;
  if (step) metrics.tokens(step.cost);
  const failure = failureOf(result, abort.signal);
  if (failure) {
    if (!stream?.isOpen) throw failure;
    stream.send(failure.body);
    stream.end(false);
  } else if (step && finishReason && begun) {
    const { head, chunks } = begun;
    const finished: FinishedResponse = {
      message: step.action.message,
      finishReason,
      usage: step.cost,
      ...(chat.logprobs && policy && step.tokens && { logprobs: logprobsOf(step.tokens, policy.tokenBytes) }),
    };
    if (stream) {
      for (const chunk of chunks.closing(finished)) stream.send(chunk);
      stream.end(true);
    } else sendJson(response, 200, chatCompletion(head, finished));
  }
  return result;
}

/** Why there is no whole answer to send. */
function failureOf(
  { error, step, stopReason }: CompletionResult,
  { aborted, reason }: AbortSignal,
): GatewayError | undefined {
  if (aborted) return asGatewayError(reason);
  if (error) return asGatewayError(error);
  if (stopReason === "aborted") return brokenOff("it stopped by itself");
  if (step) return undefined;
  const message = `the agent's budget was used up before this step (${stopReason}); begin another conversation`;
  return new GatewayError(400, message, { apiCode: "budget_exceeded" });
}

function brokenOff(why: string): GatewayError {
  return new GatewayError(502, `the model broke off its response: ${why}`, { apiCode: "upstream_error" });
}
