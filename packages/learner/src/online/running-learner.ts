import {
  AgentError,
  type AgentEvent,
  type EventPayloads,
  type PluginContext,
  type StepRef,
  type ToolDefinition,
} from "@afterstate/core";
import { isInCanary } from "../safety/canary.js";
import { releaseUser } from "../safety/feedback-guard.js";
import { liftOf } from "../safety/lift.js";
import { NO_SAFETY, withEpisodes } from "../safety/safety-state.js";
import { advance } from "./advance.js";
import { explainStep } from "./explain-step.js";
import { honourWishes, requireStore } from "./learn-again.js";
import type { Replay, StepExplanation } from "./learner-answers.js";
import type { LearnerReport, OnlineLearnerOptions } from "./learner-options.js";
import { type LearnerParts, openParts } from "./learner-parts.js";
import { errorPayload } from "./ledger.js";
import { recoverLearner, takeReady } from "./recover-learner.js";
import { replayVersion } from "./replay-version.js";
import { ScheduleKeeper } from "./schedule-keeper.js";
import { rollBack, tidy } from "./serving-changes.js";
import { userHash } from "./unlearned-users.js";

/** The work of {@link onlineLearner}: one task after the other, whatever wakes it. */
export class RunningLearner {
  /** Tools of the last request that passed by. */
  tools: readonly ToolDefinition[] | undefined;
  readonly #open: () => LearnerParts;
  readonly #keeper: ScheduleKeeper;
  #parts: LearnerParts;
  /** The log offset at the start. */
  #startedAt = 0;
  #tellings = 0;
  #context: PluginContext | undefined;
  #unsubscribe: readonly (() => void)[] = [];
  #tail: Promise<void> = Promise.resolve();
  #wakePending = false;
  #stopped = false;
  #paused = false;

  constructor(options: OnlineLearnerOptions) {
    const { batchEpisodes = 16, policy, tools } = options;
    if (!Number.isInteger(batchEpisodes) || batchEpisodes < 1)
      throw new AgentError("learner/bad-option", `batchEpisodes is a whole number of at least 1, not ${batchEpisodes}`);
    this.tools = tools;
    const surroundings = {
      base: { version: policy.serving, weights: policy.weights(policy.serving) },
      tools: () => this.tools ?? [],
      emit: async (event: AgentEvent) => this.#context?.emit(event),
      tellFailure: (cause: unknown) => this.#tellFailure(cause),
      isJudged: () => false,
      startedAt: () => this.#startedAt,
    };
    this.#open = () => openParts(options, surroundings);
    this.#parts = this.#open();
    const { schedule, clock, trainer } = options;
    this.#keeper = new ScheduleKeeper(schedule, clock, trainer, () => this.#wake());
  }

  async start(context: PluginContext): Promise<void> {
    this.#context = context;
    this.#startedAt = this.#parts.options.log.nextOffset;
    await recoverLearner(this.#parts);
    this.tools ??= await this.#toolsOfLastUpdate();
    const wakeOn = (event: AgentEvent) => {
      this.#parts.reader.expect(event.id);
      this.#keeper.noteActivity();
      this.#wake();
    };
    const { events } = context;
    this.#unsubscribe = [
      events.on("next-state", wakeOn),
      events.on("feedback", wakeOn),
      events.on("episode-end", wakeOn),
      events.on("episode-start", () => this.#keeper.noteActivity()),
    ];
    context.onDispose(() => this.stop());
    void this.#inTurn(() => this.#honourWishes()).catch((cause) => this.#tellFailure(cause));
    this.#wake();
  }

  async settled(): Promise<void> {
    do await (this.#paused ? undefined : this.#tail);
    while (this.#wakePending && !this.#paused);
  }

  pause(): void {
    this.#paused = true;
    this.#keeper.pause(true);
  }

  resume(): void {
    this.#paused = false;
    this.#keeper.pause(false);
    this.#wake();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#keeper.end();
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    await this.#tail;
  }

  /** The version that is to answer a session; undefined where it is the one that serves. */
  versionFor(sessionId: string): string | undefined {
    const { ledger, options, versions } = this.#parts;
    const { version, safety } = ledger.pointer;
    if (this.isHeldOut(sessionId)) return version === versions.base ? undefined : versions.base;
    const { canary } = safety ?? NO_SAFETY;
    if (canary === undefined || options.canary === undefined) return undefined;
    return isInCanary(sessionId, canary, options.canary, options.seed ?? 0) ? canary.version : undefined;
  }

  isHeldOut(sessionId: string): boolean {
    return this.#parts.isHeldOut(sessionId);
  }

  releaseUser(userId: string): Promise<void> {
    return this.#inTurn(async () => {
      const { ledger } = this.#parts;
      const { learned } = ledger.pointer;
      if (learned.feedback === undefined) return;
      const feedback = releaseUser(learned.feedback, userId);
      await ledger.commit({ learned: { ...learned, feedback }, gained: {}, events: [] });
    });
  }

  report(): LearnerReport {
    const { ledger, backlog, options, isHeldOut } = this.#parts;
    const { counts, version, learned, safety = NO_SAFETY } = ledger.pointer;
    return {
      ...counts,
      version: options.policy.serving,
      meanReward: ledger.rewardsOf(version, backlog.rewardsOf(version))?.mean ?? 0,
      pending: backlog.pending,
      lift: liftOf(withEpisodes(safety, backlog.judged, isHeldOut).lift),
      ...(safety.canary && { canary: safety.canary.version }),
      alarms: safety.alarms,
      quarantined: learned.feedback?.quarantined ?? {},
    };
  }

  rollback(version: string): Promise<void> {
    return this.#inTurn(() => rollBack(this.#parts, version, "asked for"));
  }

  async unlearn(userId: string): Promise<void> {
    await this.#wish({ userHash: userHash(userId), lifted: false });
    await this.#inTurn(() => this.#honourWishes());
    this.#wake();
  }

  async learnFromAgain(userId: string): Promise<void> {
    await this.#wish({ userHash: userHash(userId), lifted: true });
    await this.#inTurn(() => this.#honourWishes());
    this.#wake();
  }

  replay(version: string): Promise<Replay> {
    const { options, surroundings } = this.#parts;
    return this.#inTurn(() => replayVersion(options, surroundings.base, version));
  }

  explain(of: StepRef): Promise<StepExplanation> {
    return this.#inTurn(() => explainStep(this.#parts, of));
  }

  async #wish(wish: EventPayloads["unlearn"]): Promise<void> {
    requireStore(this.#parts.options);
    if (this.#context === undefined)
      throw new AgentError("learner/not-started", "users are unlearned by a learner that an agent has as a plugin");
    await this.#context.emit(this.#parts.ledger.event(this.#nextId("unlearn"), { type: "unlearn", ...wish }));
  }

  /** Makes everything as if the users who are to be unlearned had never been there. */
  async #honourWishes(): Promise<void> {
    const parts = this.#parts;
    await parts.reader.read();
    takeReady(parts);
    if (parts.unlearned.upTo <= parts.ledger.pointer.unlearnedUpTo) return;
    if (!(await honourWishes(parts, () => this.#stopped))) return;
    const opened = this.#open();
    for (const id of parts.reader.awaited) opened.reader.expect(id);
    opened.versions.inherit(parts.versions);
    await recoverLearner(opened);
    this.#parts = opened;
    await tidy(opened);
  }

  async #toolsOfLastUpdate(): Promise<readonly ToolDefinition[] | undefined> {
    for await (const { update } of this.#parts.ledger.batches()) if (update !== undefined) return update.tools;
    return undefined;
  }

  /** Runs a task once those before it are over. */
  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const run = this.#tail.then(task);
    this.#tail = run.then(
      () => {},
      () => {},
    );
    return run;
  }

  #wake(): void {
    if (this.#wakePending || this.#stopped || this.#paused) return;
    this.#wakePending = true;
    void this.#inTurn(async () => {
      this.#wakePending = false;
      const isResting = () => this.#stopped || this.#paused;
      const mayUpdate = () => this.#keeper.mayUpdate();
      await advance(this.#parts, isResting, mayUpdate).catch((cause) => this.#tellFailure(cause));
    });
  }

  /** Tells of a failure that was got over. Must not throw. */
  async #tellFailure(cause: unknown): Promise<undefined> {
    const event = this.#parts.ledger.event(this.#nextId("error"), errorPayload(cause));
    await this.#context?.emit(event).catch(() => {});
    return undefined;
  }

  #nextId(kind: string): string {
    return `learner#${kind}-${this.#parts.reader.cursor}-${this.#tellings++}`;
  }
}
