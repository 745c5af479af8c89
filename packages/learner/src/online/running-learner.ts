import {
  AgentError,
  type AgentEvent,
  mixSeed,
  type PluginContext,
  systemClock,
  type ToolDefinition,
} from "@afterstate/core";
import { correctForAge } from "../trainer/correct-for-age.js";
import { versionNumber } from "../versions/version-manifest.js";
import { assembleBatch, type Batch } from "./assemble-batch.js";
import { type Backlog, openBacklog } from "./backlog.js";
import { type EpisodeFold, type FoldedEpisode, foldEpisodes } from "./episode-fold.js";
import { HeldOutGate } from "./held-out-gate.js";
import { type JudgedEpisode, judgeEpisode } from "./judged-episode.js";
import { DEFAULT_UPDATE, type LearnerReport, type OnlineLearnerOptions } from "./learner-options.js";
import { errorPayload, Ledger, type LedgerEntry } from "./ledger.js";
import { rewardFell } from "./reward-watch.js";
import { type ServedVersions, servedVersions } from "./served-versions.js";

/** Ancestors that a version remembers. */
const MAX_ANCESTORS = 64;
/** An event is on the bus before the log has it: how often, and how far apart, the log is read again for it. */
const LOG_POLLS = 200;
const LOG_POLL_MS = 5;

/** The work of {@link onlineLearner}: one task after the other, whatever wakes it. */
export class RunningLearner {
  /** Tools of the last request that passed by. */
  tools: readonly ToolDefinition[] | undefined;
  readonly #options: OnlineLearnerOptions;
  readonly #batchEpisodes: number;
  readonly #ledger: Ledger;
  readonly #versions: ServedVersions;
  readonly #backlog: Backlog;
  readonly #fold: EpisodeFold;
  readonly #gate: HeldOutGate;
  /** Ids of events that were on the bus and have not been read from the log. */
  readonly #awaited = new Set<string>();
  #cursor = 0;
  #errors = 0;
  #context: PluginContext | undefined;
  #unsubscribe: readonly (() => void)[] = [];
  #tail: Promise<void> = Promise.resolve();
  #wakePending = false;
  #stopped = false;
  #paused = false;

  constructor(options: OnlineLearnerOptions) {
    const { batchEpisodes = 16, policy, store, signals, tools } = options;
    if (!Number.isInteger(batchEpisodes) || batchEpisodes < 1)
      throw new AgentError("learner/bad-option", `batchEpisodes is a whole number of at least 1, not ${batchEpisodes}`);
    this.#options = options;
    this.#batchEpisodes = batchEpisodes;
    this.tools = tools;
    this.#versions = servedVersions(policy, store);
    this.#ledger = new Ledger(this.#versions.base, store, () => this.#now());
    this.#backlog = openBacklog(signals);
    this.#fold = foldEpisodes((id, offset) => this.#ledger.isConsumed(id, offset));
    this.#gate = new HeldOutGate(options);
  }

  async start(context: PluginContext): Promise<void> {
    const { log, store, policy } = this.#options;
    this.#context = context;
    const { base, reference } = this.#versions;
    const recovery = await store?.recover(base, reference);
    if (recovery?.pointer) this.#ledger.restore(recovery.pointer);
    else if (store === undefined) this.#ledger.beginAt(log.nextOffset);
    const { version, ancestors, outbox } = this.#ledger.pointer;
    if (recovery?.weights) this.#versions.load(version, recovery.weights);
    this.#versions.remember(version, ancestors);
    if (version !== this.#versions.base) {
      policy.serve(version);
      this.#versions.optimizer = await store?.optimizer(version, reference).catch((cause) => this.#tellFailure(cause));
    }
    const told = await this.#readLog();
    for (const problem of recovery?.problems ?? []) await this.#tellFailure(problem);
    for (const event of outbox) if (!told.has(event.id)) await this.#emit(event);
    const wakeOn = (event: AgentEvent) => {
      this.#awaited.add(event.id);
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
    const { counts, version } = this.#ledger.pointer;
    return {
      ...counts,
      version: this.#options.policy.serving,
      meanReward: this.#ledger.rewardsOf(version, this.#backlog.rewardsOf(version))?.mean ?? 0,
      pending: this.#backlog.pending,
    };
  }

  rollback(version: string): Promise<void> {
    return this.#inTurn(() => this.#rollBack(version, "asked for"));
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
    while (!this.#resting) {
      await this.#readWhatHappened();
      for (;;) {
        const batch = this.#backlog.nextBatch(this.#batchEpisodes);
        const next = this.#backlog.nextUnjudged();
        if (this.#resting || (batch === undefined && next === undefined)) break;
        if (batch !== undefined) await this.#learn(batch);
        else await this.#judge(next!);
      }
      if (this.#awaited.size === 0) return;
    }
  }

  async #judge(episode: FoldedEpisode): Promise<void> {
    const { judge, hintReader, signals } = this.#options;
    const readers = { judge, hintReader, readsHints: signals !== "reward" };
    const judged = await judgeEpisode(episode, readers, {
      now: () => this.#now(),
      emit: (event) => this.#emit(event),
      onFailure: (code, message) => this.#tellFailure(new AgentError(code, message)),
    });
    this.#backlog.addJudged(judged);
    await this.#watchReward();
  }

  /** Reads the log until it has what was on the bus at the start; what the log refused is waited for no longer. */
  async #readWhatHappened(): Promise<void> {
    const happened = [...this.#awaited];
    for (let polls = 0; polls < LOG_POLLS; polls++) {
      await this.#readLog();
      if (!happened.some((id) => this.#awaited.has(id))) return;
      await new Promise((resolve) => setTimeout(resolve, LOG_POLL_MS));
    }
    for (const id of happened) this.#awaited.delete(id);
  }

  /** @returns the ids of the events among what was read that belong to no session. */
  async #readLog(): Promise<ReadonlySet<string>> {
    const ids = new Set<string>();
    for await (const record of this.#options.log.read(this.#cursor)) {
      const { event, offset } = record;
      this.#cursor = offset + 1;
      this.#awaited.delete(event.id);
      if (event.sessionId === "") ids.add(event.id);
      if (event.type === "policy-update" && !this.#options.store)
        this.#ledger.noteNumber(versionNumber(event.candidate));
      if (event.type === "episode-start") this.#ledger.noteStart(event.episodeId, offset);
      this.#fold.take(record);
    }
    this.#backlog.addReady(this.#fold.takeReady());
    return ids;
  }

  /** One update: from a batch of episodes to a committed decision on a candidate. */
  async #learn(episodes: readonly JudgedEpisode[]): Promise<void> {
    const { policy, trainer, mode, store } = this.#options;
    const batch = this.#assemble(episodes);
    const { dropped, samples, stale } = batch;
    const update = { ...DEFAULT_UPDATE, ...this.#options.update };
    const options = stale ? correctForAge(update) : update;
    if (samples.length === 0) return this.#commit(episodes, batch, { gained: { dropped }, events: [] });
    const { version: parent, ancestors: elders, lastNumber } = this.#ledger.pointer;
    const candidate = `v${lastNumber + 1}`;
    const ancestors = [parent, ...elders].slice(0, MAX_ANCESTORS);
    const { optimizer, reference } = this.#versions;
    try {
      const weights = policy.weights(parent);
      const request = { weights, ...(optimizer && { optimizer }), reference, samples, options };
      const result = await trainer.update(request);
      this.#versions.load(candidate, result.weights);
      const { accepted, numbers } = await this.#gate.judge(candidate, parent, result.metrics);
      const promoted = accepted && mode === "live";
      if (accepted) {
        const manifest = {
          version: candidate,
          parent,
          ancestors,
          createdAt: this.#now(),
          promoted,
          samples: samples.map(({ of, offset }) => ({ of, offset })),
          gate: numbers,
          metrics: result.metrics,
          learned: this.#learnedUpTo(episodes, batch),
        };
        await store?.write(manifest, result.weights, result.optimizer);
      }
      const metrics = { ...result.metrics, gateAccepted: accepted ? 1 : 0 };
      const updated = { type: "policy-update", candidate, parent, samples: samples.length, metrics } as const;
      const promotion = { type: "policy-promotion", version: candidate, parent, gate: numbers } as const;
      await this.#commit(
        episodes,
        batch,
        {
          lastNumber: lastNumber + 1,
          ...(promoted && { version: candidate, ancestors }),
          gained: {
            updates: 1,
            promotions: promoted ? 1 : 0,
            rejections: accepted ? 0 : 1,
            samples: samples.length,
            dropped,
          },
          events: promoted ? [updated, promotion] : [updated],
        },
        () => {
          if (!promoted) return;
          this.#versions.optimizer = result.optimizer;
          this.#versions.remember(candidate, ancestors);
          policy.serve(candidate);
        },
      );
    } catch (cause) {
      const committed = this.#ledger.pointer.lastNumber > lastNumber;
      const worthRetrying = (AgentError.isInstance(cause) && cause.retryable) || isStorageFailure(cause);
      if (committed || worthRetrying) throw cause;
      const gained = { dropped: dropped + samples.length };
      return this.#commit(episodes, batch, { gained, events: [errorPayload(cause)] });
    } finally {
      if (this.#ledger.pointer.version !== candidate) this.#versions.unload(candidate);
      await this.#tidy();
    }
  }

  #assemble(episodes: readonly JudgedEpisode[]): Batch {
    const { signals, control, seed = 0, maxStaleness = 4, policy, credit } = this.#options;
    const { learned, sequence, version: serving, ancestors } = this.#ledger.pointer;
    return assembleBatch(episodes, learned.credit, {
      signals,
      credit: { credit: "step", gamma: 1, lambda: 0.95, decay: 0.9, ...credit },
      shuffledVotes: control === "shuffled-votes",
      seed: mixSeed(seed, "votes", sequence),
      staleness: (version) => {
        const place = [serving, ...ancestors].indexOf(version);
        return place >= 0 ? place : Math.abs(versionNumber(serving) - versionNumber(version));
      },
      maxStaleness,
      encodePrompt: (messages, tools) => policy.encodePrompt(messages, tools),
      tools: this.tools ?? [],
    });
  }

  #learnedUpTo(episodes: readonly JudgedEpisode[], { credit }: Batch) {
    const open = [...this.#fold.unready(), ...this.#backlog.offsetsWithout(episodes)];
    return this.#ledger.learnedUpTo(episodes, credit, open, this.#cursor);
  }

  /** Consumes episodes. `serve` runs once that is certain, before it is told. */
  async #commit(
    episodes: readonly JudgedEpisode[],
    batch: Batch,
    entry: LedgerEntry,
    serve: () => void = () => {},
  ): Promise<void> {
    await this.#ledger.commit({
      ...entry,
      gained: { ...entry.gained, episodes: episodes.length, withoutTokens: batch.withoutTokens },
      learned: this.#learnedUpTo(episodes, batch),
      rewarded: episodes,
    });
    this.#backlog.remove(episodes);
    for (const { episodeId } of episodes) this.#fold.release(episodeId);
    serve();
    for (const event of this.#ledger.pointer.outbox) await this.#emit(event);
  }

  /** Frees what neither serves nor can be rolled back to. Must not throw. */
  async #tidy(): Promise<void> {
    const { keepVersions = 8, store } = this.#options;
    const { version } = this.#ledger.pointer;
    this.#gate.keepOnly(version);
    this.#versions.trim(version, keepVersions);
    await store?.prune(keepVersions, version).catch((cause) => this.#tellFailure(cause));
  }

  async #watchReward(): Promise<void> {
    const { rollback = { episodes: 32, z: 2.58 }, mode } = this.#options;
    const { version, ancestors } = this.#ledger.pointer;
    const parent = ancestors[0];
    if (mode !== "live" || parent === undefined) return;
    const rewardsOf = (of: string) => this.#ledger.rewardsOf(of, this.#backlog.rewardsOf(of));
    const [serving, before] = [rewardsOf(version), rewardsOf(parent)];
    if (!rewardFell(serving, before, rollback)) return;
    const reason = `mean reward fell from ${before!.mean.toFixed(3)} to ${serving!.mean.toFixed(3)}`;
    await this.#rollBack(parent, reason);
  }

  async #rollBack(version: string, reason: string): Promise<void> {
    const { policy, store } = this.#options;
    const from = this.#ledger.pointer.version;
    if (version === from) return;
    const ancestors = await this.#versions.ancestorsOf(version);
    await this.#versions.bringBack(version);
    const optimizer =
      version === this.#versions.base ? undefined : await store?.optimizer(version, this.#versions.reference);
    const events = [{ type: "policy-rollback", from, to: version, reason } as const];
    await this.#ledger.commit({ version, ancestors, gained: { rollbacks: 1 }, events });
    this.#versions.optimizer = optimizer;
    policy.serve(version);
    for (const event of this.#ledger.pointer.outbox) await this.#emit(event);
    await this.#tidy();
  }

  #now(): number {
    return (this.#options.clock ?? systemClock).now();
  }

  async #emit(event: AgentEvent): Promise<void> {
    await this.#context?.emit(event);
  }

  /** Tells of a failure that was got over. Must not throw. */
  async #tellFailure(cause: unknown): Promise<undefined> {
    const event = this.#ledger.errorEvent(`learner#error-${this.#cursor}-${this.#errors++}`, cause);
    await this.#emit(event).catch(() => {});
    return undefined;
  }
}

/** A disk that is full or away: the batch is kept and tried again. */
function isStorageFailure(cause: unknown): boolean {
  return cause instanceof Error && typeof (cause as NodeJS.ErrnoException).syscall === "string";
}
