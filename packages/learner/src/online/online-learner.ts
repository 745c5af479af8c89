import {
  AgentError,
  type AgentEvent,
  type EventPayloads,
  messageOf,
  mixSeed,
  type PluginContext,
  systemClock,
  type ToolDefinition,
} from "@afterstate/core";
import { EMPTY_CREDIT } from "../credit/step-credit.js";
import { judgeCandidate } from "../versions/gate.js";
import {
  type LearnedUpTo,
  type LearnerCounts,
  NO_COUNTS,
  type RewardStatistics,
  type ServingPointer,
  type VersionManifest,
  versionNumber,
} from "../versions/version-manifest.js";
import { assembleBatch, type Batch, isInformative } from "./assemble-batch.js";
import { type EpisodeFold, type FoldedEpisode, foldEpisodes } from "./episode-fold.js";
import { episodeReward, type JudgedEpisode, judgeEpisode } from "./judged-episode.js";
import type { LearnerReport, OnlineLearner, OnlineLearnerOptions } from "./learner-options.js";
import { addReward, rewardFell } from "./reward-watch.js";
import { type ServedVersions, servedVersions } from "./served-versions.js";

const MAX_ANCESTORS = 64;
const LOG_POLL_MS = 5;
const LOG_POLLS = 200;

/**
 * Learns from the event log while the agent serves: reads episodes off it, judges their steps by what happened next, gives
 * credit, and makes a new policy version of every batch of episodes, off the serving path.
 *
 * The store's pointer is the one commit point. It says which version serves and which episodes are consumed, and carries
 * the events that tell of it, so that a stop at any moment leaves the state before an update or after it.
 */
export function onlineLearner(options: OnlineLearnerOptions): OnlineLearner {
  if (options.mode === "off") return idleLearner(options);
  const learner = new RunningLearner(options);
  return {
    name: "online-learner",
    hooks: {
      beforeModel({ request }) {
        learner.tools = request.tools;
        return undefined;
      },
    },
    setup: (context) => learner.start(context),
    settled: () => learner.settled(),
    rollback: (version) => learner.rollback(version),
    report: () => learner.report(),
    stop: () => learner.stop(),
  };
}

function idleLearner({ policy }: OnlineLearnerOptions): OnlineLearner {
  return {
    name: "online-learner",
    settled: async () => {},
    rollback: async (version) => policy.serve(version),
    report: () => ({ ...NO_COUNTS, version: policy.serving, meanReward: 0, pending: 0 }),
    stop: async () => {},
  };
}

class RunningLearner {
  /** Tools of the last request that passed by. */
  tools: readonly ToolDefinition[] | undefined;
  readonly #options: OnlineLearnerOptions;
  readonly #batchEpisodes: number;
  readonly #versions: ServedVersions;
  readonly #heldOutScores = new Map<string, readonly number[]>();
  /** Start offsets of the consumed episodes that start at or after the pointer's offset. */
  readonly #consumed = new Map<string, number>();
  readonly #unjudged: FoldedEpisode[] = [];
  #backlog: JudgedEpisode[] = [];
  #pointer: ServingPointer;
  #fold: EpisodeFold;
  #cursor = 0;
  #context: PluginContext | undefined;
  #unsubscribe: (() => void)[] = [];
  /** Ids of events that were on the bus and have not been read from the log. */
  readonly #awaited = new Set<string>();
  #tail: Promise<void> = Promise.resolve();
  #wakePending = false;
  #stopped = false;
  #errors = 0;

  constructor(options: OnlineLearnerOptions) {
    this.#options = options;
    this.#batchEpisodes = options.batchEpisodes ?? 16;
    if (!Number.isInteger(this.#batchEpisodes) || this.#batchEpisodes < 1)
      throw new AgentError(
        "learner/bad-option",
        `batchEpisodes is a whole number of at least 1, not ${this.#batchEpisodes}`,
      );
    this.tools = options.tools;
    this.#versions = servedVersions(options.policy, options.store);
    this.#pointer = {
      sequence: 0,
      version: this.#versions.base,
      ancestors: [],
      lastNumber: 0,
      learned: { offset: 0, consumed: [], credit: EMPTY_CREDIT },
      rewards: {},
      counts: NO_COUNTS,
      outbox: [],
    };
    this.#fold = foldEpisodes((id, offset) => this.#isConsumed(id, offset));
  }

  // ---- life ----

  async start(context: PluginContext): Promise<void> {
    const { log, store, policy } = this.#options;
    this.#context = context;
    const recovery = await store?.recover(this.#versions.base);
    if (recovery?.pointer) this.#pointer = recovery.pointer;
    else if (store === undefined) this.#pointer = withOffset(this.#pointer, log.nextOffset);
    for (const id of this.#pointer.learned.consumed) this.#consumed.set(id, Number.POSITIVE_INFINITY);
    const { version, ancestors } = this.#pointer;
    if (recovery?.weights) this.#versions.load(version, recovery.weights);
    this.#versions.remember(version, ancestors);
    if (version !== this.#versions.base) {
      policy.serve(version);
      this.#versions.optimizer = await store?.optimizer(version).catch((cause) => this.#reportFailure(cause));
    }
    const known = await this.#readLog();
    for (const problem of recovery?.problems ?? []) await this.#reportFailure(problem);
    for (const event of this.#pointer.outbox) if (!known.has(event.id)) await this.#emit(event);
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

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const unsubscribe of this.#unsubscribe.splice(0)) unsubscribe();
    await this.#tail;
  }

  report(): LearnerReport {
    const { counts, version } = this.#pointer;
    return {
      ...counts,
      version: this.#options.policy.serving,
      meanReward: this.#rewardsOf(version)?.mean ?? 0,
      pending: this.#informative().length + this.#unjudged.length,
    };
  }

  rollback(version: string): Promise<void> {
    return this.#exclusively(() => this.#rollBack(version, "asked for"));
  }

  // ---- the work, one piece at a time ----

  /** Runs tasks one after the other. */
  #exclusively<T>(task: () => Promise<T>): Promise<T> {
    const run = this.#tail.then(task);
    this.#tail = run.then(
      () => {},
      () => {},
    );
    return run;
  }

  #wake(): void {
    if (this.#wakePending || this.#stopped) return;
    this.#wakePending = true;
    void this.#exclusively(async () => {
      this.#wakePending = false;
      try {
        await this.#advance();
      } catch (cause) {
        await this.#reportFailure(cause);
      }
    });
  }

  async #advance(): Promise<void> {
    for (let polls = 0; !this.#stopped; polls++) {
      await this.#readLog();
      while (this.#unjudged.length > 0 && !this.#stopped) {
        await this.#judge(this.#unjudged[0]!);
        await this.#watchReward();
        while (this.#informative().length >= this.#batchEpisodes && !this.#stopped) await this.#learn();
      }
      if (this.#awaited.size === 0) return;
      if (polls >= LOG_POLLS) return this.#awaited.clear(); // the log refused them
      await new Promise((resolve) => setTimeout(resolve, LOG_POLL_MS));
    }
  }

  /** @returns the ids of the policy's and the learner's own events among what was read. */
  async #readLog(): Promise<ReadonlySet<string>> {
    const own = new Set<string>();
    for await (const record of this.#options.log.read(this.#cursor)) {
      const { event, offset } = record;
      this.#cursor = offset + 1;
      this.#awaited.delete(event.id);
      if (event.sessionId === "") own.add(event.id);
      if (event.type === "policy-update" && !this.#options.store)
        this.#pointer = {
          ...this.#pointer,
          lastNumber: Math.max(this.#pointer.lastNumber, versionNumber(event.candidate)),
        };
      if (event.type === "episode-start" && this.#consumed.has(event.episodeId))
        this.#consumed.set(event.episodeId, offset);
      this.#fold.take(record);
    }
    for (const episode of this.#fold.takeReady()) {
      const again = this.#unjudged.findIndex(({ episodeId }) => episodeId === episode.episodeId);
      if (again >= 0) this.#unjudged[again] = episode;
      else this.#unjudged.push(episode);
    }
    return own;
  }

  async #judge(episode: FoldedEpisode): Promise<void> {
    const { judge, hintReader, signals } = this.#options;
    const readers = { judge, hintReader, readsHints: signals !== "reward" };
    const judged = await judgeEpisode(episode, readers, {
      now: () => this.#now(),
      emit: (event) => this.#emit(event),
      onFailure: (code, message) => this.#reportFailure(new AgentError(code, message)),
    });
    this.#unjudged.shift();
    const again = this.#backlog.findIndex(({ episodeId }) => episodeId === episode.episodeId);
    if (again >= 0) this.#backlog[again] = judged;
    else this.#backlog.push(judged);
  }

  /** One update: from a batch of episodes to a committed decision on a candidate. */
  async #learn(): Promise<void> {
    const { policy, trainer, update, mode, store } = this.#options;
    const episodes = this.#nextBatch();
    const batch = this.#assemble(episodes);
    if (batch.samples.length === 0) return this.#commit(episodes, batch, { dropped: batch.dropped });
    const parent = this.#pointer.version;
    const candidate = `v${this.#pointer.lastNumber + 1}`;
    const { optimizer, reference } = this.#versions;
    try {
      const result = await trainer.update({
        weights: policy.weights(parent),
        ...(optimizer && { optimizer }),
        reference,
        samples: batch.samples,
        options: update,
      });
      this.#versions.load(candidate, result.weights);
      const verdict = await this.#gate(candidate, parent, result.metrics);
      const promoted = verdict.accepted && mode === "live";
      const ancestors = [parent, ...this.#pointer.ancestors].slice(0, MAX_ANCESTORS);
      if (verdict.accepted)
        await store?.write(
          this.#manifest(candidate, ancestors, episodes, batch, verdict.numbers, result.metrics, promoted),
          result.weights,
          result.optimizer,
        );
      const updated: EventPayloads["policy-update"] = {
        candidate,
        parent,
        samples: batch.samples.length,
        metrics: { ...result.metrics, gateAccepted: verdict.accepted ? 1 : 0 },
      };
      await this.#commit(
        episodes,
        batch,
        {
          updates: 1,
          promotions: promoted ? 1 : 0,
          rejections: verdict.accepted ? 0 : 1,
          samples: batch.samples.length,
          dropped: batch.dropped,
        },
        {
          lastNumber: versionNumber(candidate),
          ...(promoted && { version: candidate, ancestors }),
          events: [
            { type: "policy-update", ...updated },
            ...(promoted
              ? [{ type: "policy-promotion", version: candidate, parent, gate: verdict.numbers } as const]
              : []),
          ],
          beforeEvents: () => {
            if (!promoted) return;
            this.#versions.optimizer = result.optimizer;
            this.#versions.remember(candidate, ancestors);
            policy.serve(candidate);
          },
        },
      );
      if (!promoted) this.#versions.unload(candidate);
      await this.#tidy();
    } catch (cause) {
      if (this.#pointer.version !== candidate) this.#versions.unload(candidate);
      if (this.#pointer.lastNumber >= versionNumber(candidate)) throw cause; // committed: nothing to give up
      if (AgentError.isInstance(cause) && cause.retryable) throw cause;
      if (isStorageFailure(cause)) throw cause;
      await this.#commit(
        episodes,
        batch,
        { dropped: batch.dropped + batch.samples.length },
        { events: [errorPayload(cause)] },
      );
    }
  }

  async #gate(candidate: string, serving: string, metrics: Readonly<Record<string, number>>) {
    const { gate, limits, seed = 0 } = this.#options;
    const scoresOf = async (version: string): Promise<readonly number[]> => {
      const known = this.#heldOutScores.get(version);
      if (known !== undefined || gate === undefined) return known ?? [];
      const scores = await gate.evaluate(version);
      this.#heldOutScores.set(version, scores);
      return scores;
    };
    return judgeCandidate({
      serving: await scoresOf(serving),
      candidate: await scoresOf(candidate),
      metrics,
      limits: { maxKl: 5, minEntropy: 0, confidence: 0.95, ...limits },
      seed: mixSeed(seed, candidate),
    });
  }

  async #tidy(): Promise<void> {
    const { keepVersions = 8, store } = this.#options;
    const { version } = this.#pointer;
    for (const known of this.#heldOutScores.keys()) if (known !== version) this.#heldOutScores.delete(known);
    this.#versions.trim(version, keepVersions);
    await store?.prune(keepVersions, version).catch((cause) => this.#reportFailure(cause));
  }

  // ---- what is consumed ----

  #informative(): JudgedEpisode[] {
    return this.#backlog.filter((episode) => isInformative(episode, this.#options.signals));
  }

  /** The oldest episodes that fill a batch, and those without anything to learn that came before the last of them. */
  #nextBatch(): readonly JudgedEpisode[] {
    const last = this.#informative()[this.#batchEpisodes - 1]!;
    return this.#backlog.slice(0, this.#backlog.indexOf(last) + 1);
  }

  #assemble(episodes: readonly JudgedEpisode[]): Batch {
    const { signals, control, seed = 0, maxStaleness = 4, policy, credit } = this.#options;
    const { learned, sequence } = this.#pointer;
    return assembleBatch(episodes, learned.credit, {
      signals,
      credit: { credit: "step", gamma: 1, lambda: 0.95, decay: 0.9, ...credit },
      shuffledVotes: control === "shuffled-votes",
      seed: mixSeed(seed, "votes", sequence),
      staleness: (version) => this.#staleness(version),
      maxStaleness,
      encodePrompt: (messages, tools) => policy.encodePrompt(messages, tools),
      tools: this.tools ?? [],
    });
  }

  #staleness(version: string): number {
    const place = [this.#pointer.version, ...this.#pointer.ancestors].indexOf(version);
    return place >= 0 ? place : Math.abs(versionNumber(this.#pointer.version) - versionNumber(version));
  }

  #isConsumed(episodeId: string, offset: number): boolean {
    return offset < this.#pointer.learned.offset || this.#consumed.has(episodeId);
  }

  /** What will have been learned up to once `episodes` are consumed, and their start offsets. */
  #learnedUpTo(
    episodes: readonly JudgedEpisode[],
    batch: Pick<Batch, "credit">,
  ): LearnedUpTo & { starts: Map<string, number> } {
    const starts = new Map(this.#consumed);
    for (const { episodeId, offset } of episodes) starts.set(episodeId, offset);
    const open = [
      ...this.#fold.unready(),
      ...this.#unjudged.map(({ offset }) => offset),
      ...this.#backlog.filter((episode) => !episodes.includes(episode)).map(({ offset }) => offset),
    ];
    const offset = open.reduce((least, start) => Math.min(least, start), this.#cursor);
    for (const [id, start] of starts) if (start < offset) starts.delete(id);
    return { offset, consumed: [...starts.keys()], credit: batch.credit, starts };
  }

  #manifest(
    version: string,
    ancestors: readonly string[],
    episodes: readonly JudgedEpisode[],
    batch: Batch,
    gate: Readonly<Record<string, number>>,
    metrics: Readonly<Record<string, number>>,
    promoted: boolean,
  ): VersionManifest {
    const { starts: _, ...learned } = this.#learnedUpTo(episodes, batch);
    return {
      version,
      parent: ancestors[0]!,
      ancestors,
      createdAt: this.#now(),
      promoted,
      samples: batch.samples.map(({ of, offset }) => ({ of, offset })),
      gate,
      metrics,
      learned,
    };
  }

  /** Moves the pointer past `episodes`: the commit point. Then what it implies is done and told. */
  async #commit(
    episodes: readonly JudgedEpisode[],
    batch: Batch,
    gained: Partial<LearnerCounts>,
    changes: {
      readonly version?: string;
      readonly ancestors?: readonly string[];
      readonly lastNumber?: number;
      readonly events?: readonly LearnerEvent[];
      readonly beforeEvents?: () => void;
    } = {},
  ): Promise<void> {
    const { events = [], beforeEvents, ...moved } = changes;
    const { starts, ...learned } = this.#learnedUpTo(episodes, batch);
    const rewards: Record<string, RewardStatistics> = { ...this.#pointer.rewards };
    for (const episode of episodes) {
      const reward = episodeReward(episode);
      const version = episode.steps.at(-1)?.policyVersion;
      if (reward !== undefined && version !== undefined) rewards[version] = addReward(rewards[version], reward);
    }
    const lineage = [moved.version ?? this.#pointer.version, ...(moved.ancestors ?? this.#pointer.ancestors)];
    for (const version of Object.keys(rewards)) if (!lineage.includes(version)) delete rewards[version];
    const counts = addCounts(this.#pointer.counts, {
      ...gained,
      episodes: episodes.length,
      withoutTokens: batch.withoutTokens,
    });
    await this.#point({ ...this.#pointer, ...moved, learned, rewards, counts }, events);
    this.#consumed.clear();
    for (const [id, start] of starts) this.#consumed.set(id, start);
    this.#backlog = this.#backlog.filter((episode) => !episodes.includes(episode));
    for (const { episodeId } of episodes) this.#fold.release(episodeId);
    beforeEvents?.();
    for (const event of this.#pointer.outbox) await this.#emit(event);
  }

  async #point(pointer: ServingPointer, events: readonly LearnerEvent[]): Promise<void> {
    const sequence = this.#pointer.sequence + 1;
    const outbox = events.map(
      (event, index): AgentEvent =>
        ({ ...this.#envelope(`learner#${sequence}-${index}`, pointer.version), ...event }) as AgentEvent,
    );
    const next = { ...pointer, sequence, outbox };
    await this.#options.store?.point(next);
    this.#pointer = next;
  }

  // ---- rolling back ----

  #rewardsOf(version: string): RewardStatistics | undefined {
    return this.#backlog.reduce((statistics, episode) => {
      const reward = episodeReward(episode);
      const own = episode.steps.at(-1)?.policyVersion === version;
      return own && reward !== undefined ? addReward(statistics, reward) : statistics;
    }, this.#pointer.rewards[version]);
  }

  async #watchReward(): Promise<void> {
    const { rollback = { episodes: 32, z: 2.58 }, mode } = this.#options;
    const { version, ancestors } = this.#pointer;
    const parent = ancestors[0];
    if (mode !== "live" || parent === undefined) return;
    const [serving, before] = [this.#rewardsOf(version), this.#rewardsOf(parent)];
    if (!rewardFell(serving, before, rollback)) return;
    const reason = `mean reward fell from ${before!.mean.toFixed(3)} to ${serving!.mean.toFixed(3)}`;
    await this.#rollBack(parent, reason);
  }

  async #rollBack(version: string, reason: string): Promise<void> {
    const { policy, store } = this.#options;
    const from = this.#pointer.version;
    if (version === from) return;
    const ancestors = await this.#versions.ancestorsOf(version);
    await this.#versions.bringBack(version);
    const optimizer = version === this.#versions.base ? undefined : await store?.optimizer(version);
    const counts = addCounts(this.#pointer.counts, { rollbacks: 1 });
    await this.#point({ ...this.#pointer, version, ancestors, counts }, [
      { type: "policy-rollback", from, to: version, reason },
    ]);
    this.#versions.optimizer = optimizer;
    policy.serve(version);
    for (const event of this.#pointer.outbox) await this.#emit(event);
    await this.#tidy();
  }

  // ---- events ----

  #now(): number {
    return (this.#options.clock ?? systemClock).now();
  }

  #envelope(id: string, policyVersion = this.#pointer.version) {
    return { id, time: this.#now(), sessionId: "", episodeId: "", stepIndex: -1, policyVersion };
  }

  async #emit(event: AgentEvent): Promise<void> {
    await this.#context?.emit(event);
  }

  /** Tells of a failure that was got over. Must not throw. */
  async #reportFailure(cause: unknown): Promise<undefined> {
    const id = `learner#error-${this.#cursor}-${this.#errors++}`;
    await this.#emit({ ...this.#envelope(id), ...errorPayload(cause) }).catch(() => {});
    return undefined;
  }
}

type LearnerEvent = {
  [K in "policy-update" | "policy-promotion" | "policy-rollback" | "error"]: { readonly type: K } & EventPayloads[K];
}["policy-update" | "policy-promotion" | "policy-rollback" | "error"];

function errorPayload(cause: unknown): { type: "error" } & EventPayloads["error"] {
  return {
    type: "error",
    code: AgentError.isInstance(cause) ? cause.code : "learner/failed",
    message: messageOf(cause),
  };
}

/** A disk that is full or away: the batch is kept and tried again. */
function isStorageFailure(cause: unknown): boolean {
  return cause instanceof Error && typeof (cause as NodeJS.ErrnoException).syscall === "string";
}

function withOffset(pointer: ServingPointer, offset: number): ServingPointer {
  return { ...pointer, learned: { ...pointer.learned, offset } };
}

function addCounts(counts: LearnerCounts, gained: Partial<LearnerCounts>): LearnerCounts {
  const sum = { ...counts };
  for (const key of Object.keys(counts) as (keyof LearnerCounts)[]) sum[key] += gained[key] ?? 0;
  return sum;
}
