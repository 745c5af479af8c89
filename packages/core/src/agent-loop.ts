import { AbortWatch } from "./abort-watch.js";
import type { Approval, RunResult } from "./agent.js";
import { compacted } from "./compaction.js";
import type { EpisodeEvents } from "./episode-events.js";
import { AgentError, messageOf } from "./errors.js";
import type { LoopParts } from "./loop-parts.js";
import type { MemoryRecord } from "./memory.js";
import type { Message } from "./message.js";
import { costOfFailure, endStep, takeStep } from "./model-step.js";
import type { Plan } from "./planner.js";
import { mixSeed } from "./random.js";
import { repeatedErrors } from "./repeated-errors.js";
import {
  addCost,
  noCost,
  type OpenStep,
  parseEpisodeId,
  type Session,
  toolMessages,
  type WaitingEpisode,
} from "./session.js";
import { spendingLimit } from "./spending-limit.js";
import { goOnWithout, newSteering, type Steering, sameSteering } from "./steering.js";
import type { NextState, Step, StepCost, StepRef, StopReason, ToolResult } from "./step.js";
import { executeCalls, type PreparedCall, prepareCall, refusedCall, type ToolRun } from "./tool-execution.js";

const DEFAULT_MAX_STEPS = 16;
const RECALL_LIMIT = 8;

/** One run: a new episode over a prompt, or one that goes on after an approval. */
export interface EpisodeRun {
  readonly episodeId: string;
  readonly prompt: string;
  readonly userId?: string;
  readonly seed: number;
  readonly abortSignal?: AbortSignal;
  readonly resumed?: { readonly from: WaitingEpisode; readonly approval: Approval };
}

/** Runs one episode to its end. Never rejects: whatever fails becomes the result, and exactly one `episode-end` comes last. */
export async function runEpisode(
  parts: LoopParts,
  session: Session,
  run: EpisodeRun,
  events: EpisodeEvents,
): Promise<RunResult> {
  const watch = new AbortWatch(run.abortSignal);
  const episode = new Episode(parts, session, run, events, watch);
  let stopReason: StopReason;
  try {
    stopReason = await episode.proceed();
  } catch (cause) {
    stopReason = watch.aborted ? "aborted" : episode.fail(cause);
  } finally {
    watch.dispose();
  }
  return episode.end(stopReason);
}

/** The state of one run. Owns nothing but itself; made and dropped by `runEpisode`. */
class Episode {
  readonly #parts: LoopParts;
  readonly #session: Session;
  readonly #run: EpisodeRun;
  readonly #events: EpisodeEvents;
  readonly #watch: AbortWatch;
  readonly #toolRun: ToolRun;
  readonly #startedAt: number;
  readonly #steps: Step[] = [];
  readonly #breaker = repeatedErrors();
  /** The length of the context to go back to when no step sees what this run adds. */
  #contextBefore: number;
  #hasObserved = false;
  #steering: Steering = { guidance: undefined, decisions: [] };
  #spent: StepCost = noCost;
  /** What the episode had taken before it was resumed. */
  #durationBefore = 0;
  #answer = "";
  #error: { code: string; message: string } | undefined;

  constructor(parts: LoopParts, session: Session, run: EpisodeRun, events: EpisodeEvents, watch: AbortWatch) {
    this.#parts = parts;
    this.#session = session;
    this.#run = run;
    this.#events = events;
    this.#watch = watch;
    this.#contextBefore = session.messages.length;
    this.#startedAt = parts.clock.now();
    this.#toolRun = {
      tools: parts.tools,
      beforeToolCall: parts.hooks.beforeToolCall,
      watch,
      clock: parts.clock,
      sessionId: session.id,
      userId: run.userId,
      onProgress: (callId, progress) => events.emit("tool-progress", { callId, progress }),
    };
  }

  /** From the prompt, or from the approval, to the reason to stop. */
  async proceed(): Promise<StopReason> {
    const { resumed } = this.#run;
    if (!resumed) {
      await this.#open();
      return this.#loop(0);
    }
    const { steps, step, cost } = resumed.from;
    this.#hasObserved = true;
    const { guidance } = step.observation;
    this.#steering = sameSteering(this.#parts, this.#session, { ...this.#run, guidance }, this.#events);
    this.#durationBefore = cost.durationMs;
    this.#steps.push(...steps);
    this.#spent = steps.reduce((sum, { cost: one }) => addCost(sum, one), noCost);
    this.#session.waiting = undefined;
    this.#events.stepIndex = step.index;
    this.#events.policyVersion = step.policyVersion;
    const stop = await this.#executeStep(step, this.#parts.clock.now() - step.cost.durationMs);
    return stop ?? this.#loop(step.index + 1);
  }

  /** Everything before the first step: the prompt as a next state, memory, the prompt itself, a plan. */
  async #open(): Promise<void> {
    const { prompt, userId, seed, episodeId } = this.#run;
    const session = this.#session;
    this.#events.emit("episode-start", { prompt, ...(userId !== undefined && { userId }), seed });
    if (this.#session.closed) this.#replaceContext(this.#session.messages, 0);
    this.#instruct();
    this.#settleWaiting();
    const nextState: NextState = { kind: "user", text: prompt };
    const of = session.pending;
    if (of) {
      session.pending = undefined;
      this.#events.emit("next-state", { of, nextState });
    }
    await this.#remember(nextState, of ?? { episodeId, stepIndex: 0 });
    const recalled = await this.#recall();
    if (recalled) session.messages.push(recalled);
    session.messages.push({ role: "user", content: prompt });
    const plan = await this.#plan();
    if (plan) session.messages.push({ role: "system", content: plan.text });
    this.#steering = newSteering(this.#parts, session, this.#run, this.#events);
  }

  /** Steps until there is a reason to stop. */
  async #loop(first: number): Promise<StopReason> {
    const { tools, sampling } = this.#parts;
    for (let index = first; ; index++) {
      const limit = this.#limit(index);
      if (limit) return limit;
      this.#compact();

      this.#hasObserved = true;
      const taken = await takeStep({
        parts: this.#parts,
        session: this.#session,
        events: this.#events,
        watch: this.#watch,
        episodeId: this.#run.episodeId,
        index,
        steering: this.#steering,
        asked: { tools: tools.definitions, seed: mixSeed(this.#run.seed, index), ...sampling },
      });
      const { startedAt } = taken;
      if ("cause" in taken) {
        const stop = this.#watch.aborted ? "aborted" : this.fail(taken.cause);
        endStep(this.#events, costOfFailure(this.#parts, startedAt));
        return stop;
      }
      const { step, finishReason } = taken;
      const { action } = step;
      if (action.kind === "answer" || finishReason === "aborted") this.#answer = action.message.content;
      if (action.kind === "answer") {
        this.#closeStep(step, undefined, startedAt);
        return this.#watch.aborted || finishReason === "aborted" ? "aborted" : "answered";
      }
      const stop = await this.#executeStep(step, startedAt);
      if (stop) return stop;
    }
  }

  /** The tool calls of a step, up to its end. @returns why the run stops, if it does. */
  async #executeStep(step: OpenStep, startedAt: number): Promise<StopReason | undefined> {
    const events = this.#events;
    const calls = step.action.kind === "tool" ? step.action.calls : [];
    const prepared: PreparedCall[] = [];
    for (const call of calls) prepared.push(this.#approved(await prepareCall(call, this.#toolRun)));
    const mustAsk = prepared.some(({ kind }) => kind === "ask") && !this.#watch.aborted;
    if (mustAsk) return this.#wait(step, prepared, startedAt);

    for (const { call } of prepared) events.emit("tool-call", { call });
    if (this.#run.resumed) {
      // An approved call runs at most once: the log knows of it before it runs, so that no later process can resume it again.
      await events.acknowledged();
      if (events.failure) return this.fail(events.failure);
    }
    const results = await this.#judged(prepared, await executeCalls(prepared, this.#toolRun));
    for (const result of results) events.emit("tool-result", { result });
    this.#session.messages.push(...toolMessages(results));
    const nextState: NextState = { kind: "tool", results };
    this.#session.pending = undefined;
    events.emit("next-state", { of: { episodeId: this.#run.episodeId, stepIndex: step.index }, nextState });
    this.#closeStep(step, nextState, startedAt);
    const isRepeated = this.#breaker.isRepeated(
      prepared.map(({ call }) => call),
      results,
    );
    if (isRepeated && !this.#watch.aborted) return "repeated-errors";
    return undefined;
  }

  /** A call as a person's verdict leaves it. What the person did not see stays an open question. */
  #approved(prepared: PreparedCall): PreparedCall {
    const { resumed } = this.#run;
    if (prepared.kind !== "ask" || !resumed || this.#steps.length > resumed.from.step.index) return prepared;
    const { call, tool, input } = prepared;
    const seen = resumed.from.asked.find(({ id }) => id === call.id);
    if (!seen || JSON.stringify(seen.input) !== JSON.stringify(call.input)) return prepared;
    const { approved, reason } = resumed.approval;
    return approved ? { kind: "ready", call, tool, input } : refusedCall(call, reason);
  }

  #wait(step: OpenStep, prepared: readonly PreparedCall[], startedAt: number): StopReason {
    const asked = prepared.flatMap((one) => (one.kind === "ask" ? [one] : []));
    for (const { call, reason } of asked) this.#events.emit("approval-request", { call, reason });
    const { episodeId, prompt, userId, seed } = this.#run;
    const cost = { ...step.cost, durationMs: this.#parts.clock.now() - startedAt };
    this.#spent = addCost(this.#spent, cost);
    this.#session.waiting = {
      episodeId,
      prompt,
      ...(userId !== undefined && { userId }),
      seed,
      steps: [...this.#steps],
      step: { ...step, cost },
      asked: asked.map(({ call }) => call),
      cost: { ...this.#spent, durationMs: this.#durationMs() },
    };
    return "awaiting-approval";
  }

  /** Results as the hooks after them leave them. */
  async #judged(calls: readonly PreparedCall[], results: readonly ToolResult[]): Promise<readonly ToolResult[]> {
    const hooks = this.#parts.hooks.afterToolResult;
    if (hooks.length === 0) return results;
    const judged: ToolResult[] = [];
    for (const [index, first] of results.entries()) {
      const { call } = calls[index]!;
      let result = first;
      for (const hook of hooks) {
        try {
          result = (await hook({ call, result, sessionId: this.#session.id })) ?? result;
        } catch (cause) {
          const content = `the result was held back, because a hook failed: ${messageOf(cause)}`;
          result = { ...result, content, isError: true, errorCode: "hook/failed" };
          break;
        }
      }
      judged.push(result);
    }
    return judged;
  }

  #closeStep(step: OpenStep, nextState: NextState | undefined, startedAt: number): void {
    const { index, observation, action, policyVersion, tokens } = step;
    const { inputTokens, outputTokens, dollars } = step.cost;
    const cost = { inputTokens, outputTokens, dollars, durationMs: this.#parts.clock.now() - startedAt };
    this.#spent = addCost(this.#spent, cost);
    const closed: { -readonly [K in keyof Step]: Step[K] } = {
      index,
      observation,
      action,
      signals: [],
      policyVersion,
      cost,
    };
    if (nextState) closed.nextState = nextState;
    if (tokens) closed.tokens = tokens;
    this.#steps.push(closed);
    endStep(this.#events, cost);
  }

  /** Puts the instructions in front; when they are not those that the session began with, the context is replaced. */
  #instruct(): void {
    const { instructions } = this.#parts;
    const session = this.#session;
    if (!instructions) return;
    const message: Message = { role: "system", content: instructions, pinned: true };
    const first = session.messages[0];
    if (!first) {
      session.messages.push(message);
      return;
    }
    const isInstructed = first.role === "system" && first.pinned === true;
    if (isInstructed && first.content === instructions) return;
    this.#replaceContext([message, ...session.messages.slice(isInstructed ? 1 : 0)], isInstructed ? 1 : 0);
    this.#contextBefore = session.messages.length;
  }

  /** Answers the calls that nobody approved, when the user goes on instead. */
  #settleWaiting(): void {
    const action = this.#session.waiting?.step.action;
    if (action?.kind !== "tool") return;
    const content = "this call did not run: the user went on without approving it";
    const results = action.calls.map(({ id, name }) => ({
      callId: id,
      toolName: name,
      content,
      isError: true,
      durationMs: 0,
    }));
    this.#session.messages.push(...toolMessages(results));
  }

  async #remember(nextState: NextState, writtenBy: StepRef): Promise<void> {
    const { memory } = this.#parts;
    const { userId } = this.#run;
    if (!memory || userId === undefined) return;
    const { id: sessionId, messages } = this.#session;
    const scope = { userId, sessionId };
    const signal = this.#watch.signal;
    const operations = await this.#attempt("memory", () =>
      memory.remember({ scope, messages: messages.slice(), nextState, writtenBy, signal }),
    );
    if (operations && operations.length > 0) this.#events.emit("memory-write", { operations });
  }

  /** What memory adds to the context: only what is not there yet. */
  async #recall(): Promise<Message | undefined> {
    const { memory } = this.#parts;
    const { userId, prompt: query } = this.#run;
    if (!memory || userId === undefined) return undefined;
    const { id: sessionId, messages } = this.#session;
    const scope = { userId, sessionId };
    const signal = this.#watch.signal;
    const found = await this.#attempt("memory", () => memory.recall({ query, scope, limit: RECALL_LIMIT, signal }));
    if (!found) return undefined;
    const memories = found.filter((memory) => !isInContext(memory, messages));
    this.#events.emit("memory-recall", { query, memories });
    if (memories.length === 0) return undefined;
    return { role: "system", content: memories.map(({ text }) => text).join("\n") };
  }

  async #plan(): Promise<Plan | undefined> {
    const { planner } = this.#parts;
    if (!planner) return undefined;
    const events = this.#events;
    const observation = { messages: this.#session.messages.slice() };
    const goal = await this.#attempt("planner", async () => planner.goalOf(observation));
    if (goal === undefined) return undefined;
    events.emit("plan-start", { goal });
    let isOpen = true;
    let plan: Plan | undefined;
    try {
      plan = await this.#attempt("planner", () =>
        planner.plan({
          goal,
          observation,
          seed: mixSeed(this.#run.seed, "plan"),
          onExpand: ({ path, visits, value }) => {
            if (isOpen) events.emit("plan-expand", { path, visits, value });
          },
          signal: this.#watch.signal,
        }),
      );
    } finally {
      isOpen = false;
      events.emit("plan-end", plan ? { plan } : {});
    }
    return plan;
  }

  /** The work of a service that a run can do without. */
  async #attempt<T>(service: "memory" | "planner", work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await this.#watch.race(work());
    } catch (cause) {
      if (this.#watch.aborted) throw cause;
      return goOnWithout(service, cause, this.#events);
    }
  }

  #compact(): void {
    const { maxContextTokens } = this.#parts;
    if (maxContextTokens === undefined) return;
    const { messages } = this.#session;
    const kept = compacted(messages, maxContextTokens);
    if (kept !== messages) this.#replaceContext(kept, messages.length - kept.length);
  }

  #replaceContext(messages: readonly Message[], removed: number): void {
    this.#session.messages = [...messages];
    this.#session.observed = messages.length;
    this.#events.emit("compaction", { messages, removed });
  }

  /** Why the next model call must not be made, if so. */
  #limit(index: number): StopReason | undefined {
    if (this.#watch.aborted) return "aborted";
    if (this.#events.failure) return this.fail(this.#events.failure);
    const { budget } = this.#parts;
    const { maxSteps = DEFAULT_MAX_STEPS } = budget;
    return spendingLimit({ ...budget, maxSteps }, index, { ...this.#spent, durationMs: this.#durationMs() });
  }

  #durationMs(): number {
    return this.#durationBefore + this.#parts.clock.now() - this.#startedAt;
  }

  /** Reports a failure that ends the run. */
  fail(cause: unknown): "failed" {
    const code = AgentError.isInstance(cause) ? cause.code : "agent/failed";
    this.#error = { code, message: messageOf(cause) };
    this.#events.emit("error", this.#error);
    return "failed";
  }

  /** Leaves the session as the next run needs it, and emits the last event. */
  async end(reason: StopReason): Promise<RunResult> {
    const { episodeId, userId } = this.#run;
    const session = this.#session;
    const events = this.#events;
    if (!this.#hasObserved) session.messages.length = this.#contextBefore;
    events.stepIndex = -1;
    if (reason === "aborted")
      events.emit("abort", { reason: this.#watch.aborted ? this.#watch.reason : "the model stopped by itself" });
    let stopReason = reason;
    await events.end(() => {
      if (events.failure && !this.#error) stopReason = this.fail(events.failure);
      return { stopReason, answer: this.#answer, cost: { ...this.#spent, durationMs: this.#durationMs() } };
    });
    const number = parseEpisodeId(episodeId)!.number;
    session.episodes.set(number, { lastStep: this.#steps.at(-1)?.index ?? -1, nextEvent: events.next });
    return {
      id: episodeId,
      sessionId: session.id,
      ...(userId !== undefined && { userId }),
      steps: this.#steps,
      stopReason,
      answer: this.#answer,
      ...(this.#error && { error: this.#error }),
    };
  }
}

/** Whether a system message shows the memory already, on lines of its own. */
function isInContext(memory: MemoryRecord, messages: readonly Message[]): boolean {
  return messages.some(({ role, content }) => role === "system" && `\n${content}\n`.includes(`\n${memory.text}\n`));
}
