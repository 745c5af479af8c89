import {
  AgentError,
  type AgentEvent,
  type LogRecord,
  type PluginContext,
  systemClock,
  type ToolDefinition,
} from "@afterstate/core";
import { versionNumber } from "../versions/version-manifest.js";
import { openBacklog } from "./backlog.js";
import { type FoldedEpisode, foldEpisodes } from "./episode-fold.js";
import { HeldOutGate } from "./held-out-gate.js";
import { judgeEpisode } from "./judged-episode.js";
import { learnBatch } from "./learn-batch.js";
import type { LearnerReport, OnlineLearnerOptions } from "./learner-options.js";
import type { LearnerParts } from "./learner-parts.js";
import { Ledger } from "./ledger.js";
import { LogReader } from "./log-reader.js";
import { servedVersions } from "./served-versions.js";
import { rollBack, watchReward } from "./serving-changes.js";

/** The work of {@link onlineLearner}: one task after the other, whatever wakes it. */
export class RunningLearner {
  /** Tools of the last request that passed by. */
  tools: readonly ToolDefinition[] | undefined;
  readonly #parts: LearnerParts;
  readonly #batchEpisodes: number;
  #errors = 0;
  #context: PluginContext | undefined;
  #unsubscribe: readonly (() => void)[] = [];
  #tail: Promise<void> = Promise.resolve();
  #wakePending = false;
  #stopped = false;
  #paused = false;

  constructor(options: OnlineLearnerOptions) {
    const { batchEpisodes = 16, policy, store, signals, tools, log } = options;
    if (!Number.isInteger(batchEpisodes) || batchEpisodes < 1)
      throw new AgentError("learner/bad-option", `batchEpisodes is a whole number of at least 1, not ${batchEpisodes}`);
    this.#batchEpisodes = batchEpisodes;
    this.tools = tools;
    const now = () => (options.clock ?? systemClock).now();
    const versions = servedVersions(policy, store);
    const ledger = new Ledger(versions.base, store, now);
    this.#parts = {
      options,
      ledger,
      versions,
      fold: foldEpisodes((id, offset) => ledger.isConsumed(id, offset)),
      backlog: openBacklog(signals),
      gate: new HeldOutGate(options),
      reader: new LogReader(log, (record) => this.#take(record)),
      now,
      emit: async (event) => this.#context?.emit(event),
      tellFailure: (cause) => this.#tellFailure(cause),
    };
  }

  async start(context: PluginContext): Promise<void> {
    const { options, ledger, versions } = this.#parts;
    const { log, store, policy } = options;
    this.#context = context;
    const { base, reference } = versions;
    const recovery = await store?.recover(base, reference);
    if (recovery?.pointer) ledger.restore(recovery.pointer);
    else if (store === undefined) ledger.beginAt(log.nextOffset);
    const { version, ancestors, outbox } = ledger.pointer;
    if (recovery?.weights) versions.load(version, recovery.weights);
    versions.remember(version, ancestors);
    if (version !== base) {
      policy.serve(version);
      versions.optimizer = await store?.optimizer(version, reference).catch((cause) => this.#tellFailure(cause));
    }
    const told = await this.#readLog(() => this.#parts.reader.read());
    for (const problem of recovery?.problems ?? []) await this.#tellFailure(problem);
    for (const event of outbox) if (!told.has(event.id)) await this.#parts.emit(event);
    const wakeOn = (event: AgentEvent) => {
      this.#parts.reader.expect(event.id);
      this.#wake();
    };
    const { events } = context;
    this.#unsubscribe = [
      events.on("next-state", wakeOn),
      events.on("feedback", wakeOn),
      events.on("episode-end", wakeOn),
    ];
    context.onDispose(() => this.stop());
    this.#wake();
  }

  async settled(): Promise<void> {
    do await this.#tail;
    while (this.#wakePending);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#wake();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    await this.#tail;
  }

  report(): LearnerReport {
    const { ledger, backlog, options } = this.#parts;
    const { counts, version } = ledger.pointer;
    return {
      ...counts,
      version: options.policy.serving,
      meanReward: ledger.rewardsOf(version, backlog.rewardsOf(version))?.mean ?? 0,
      pending: backlog.pending,
    };
  }

  rollback(version: string): Promise<void> {
    return this.#inTurn(() => rollBack(this.#parts, version, "asked for"));
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

  get #resting(): boolean {
    return this.#stopped || this.#paused;
  }

  #wake(): void {
    if (this.#wakePending || this.#resting) return;
    this.#wakePending = true;
    void this.#inTurn(async () => {
      this.#wakePending = false;
      await this.#advance().catch((cause) => this.#tellFailure(cause));
    });
  }

  /** Judges and learns from everything that has happened. */
  async #advance(): Promise<void> {
    const { reader, backlog } = this.#parts;
    while (!this.#resting) {
      await this.#readLog(() => reader.readWhatHappened());
      for (;;) {
        const batch = backlog.nextBatch(this.#batchEpisodes);
        const next = backlog.nextUnjudged();
        if (this.#resting || (batch === undefined && next === undefined)) break;
        if (batch !== undefined) await learnBatch(this.#parts, batch, this.tools ?? []);
        else await this.#judge(next!);
      }
      if (!reader.isBehind) return;
    }
  }

  async #judge(episode: FoldedEpisode): Promise<void> {
    const { options, backlog, now, emit } = this.#parts;
    const { judge, hintReader, signals, attribution } = options;
    const readers = { judge, hintReader, readsHints: signals !== "reward", attribution };
    const onFailure = (code: string, message: string) => this.#tellFailure(new AgentError(code, message));
    backlog.addJudged(await judgeEpisode(episode, readers, { now, emit, onFailure }));
    await watchReward(this.#parts);
  }

  async #readLog<T>(read: () => Promise<T>): Promise<T> {
    const { fold, backlog } = this.#parts;
    const result = await read();
    backlog.addReady(fold.takeReady());
    return result;
  }

  #take(record: LogRecord): void {
    const { event, offset } = record;
    const { ledger, fold, options } = this.#parts;
    if (event.type === "policy-update" && !options.store) ledger.noteNumber(versionNumber(event.candidate));
    if (event.type === "episode-start") ledger.noteStart(event.episodeId, offset);
    fold.take(record);
  }

  /** Tells of a failure that was got over. Must not throw. */
  async #tellFailure(cause: unknown): Promise<undefined> {
    const { ledger, reader, emit } = this.#parts;
    const event = ledger.errorEvent(`learner#error-${reader.cursor}-${this.#errors++}`, cause);
    await emit(event).catch(() => {});
    return undefined;
  }
}
