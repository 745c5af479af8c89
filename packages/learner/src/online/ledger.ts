import { AgentError, type AgentEvent, type EventPayloads, messageOf } from "@afterstate/core";
import { type CreditState, EMPTY_CREDIT } from "../credit/step-credit.js";
import type { FeedbackState } from "../safety/feedback-guard.js";
import type { SafetyState } from "../safety/safety-state.js";
import type { BatchRecord } from "../versions/batch-record.js";
import { DROP_REASONS } from "../versions/drop-reason.js";
import { type LearnedUpTo, type LearnerCounts, NO_COUNTS, type ServingPointer } from "../versions/version-manifest.js";
import type { VersionStore } from "../versions/version-store.js";
import { rewardByVersion } from "./backlog.js";
import type { JudgedEpisode } from "./judged-episode.js";
import { addReward, type RewardStatistics } from "./reward-watch.js";

/** An event that the learner tells. */
export type LearnerEvent = {
  [K in "policy-update" | "policy-promotion" | "policy-rollback" | "unlearn" | "alarm" | "error"]: {
    readonly type: K;
  } & EventPayloads[K];
}["policy-update" | "policy-promotion" | "policy-rollback" | "unlearn" | "alarm" | "error"];

/** A batch without what the ledger knows of it. */
export type BatchEntry = Pick<BatchRecord, "episodes" | "samples" | "dropped" | "update">;

/** What one commit changes. */
export interface LedgerEntry {
  readonly version?: string;
  readonly ancestors?: readonly string[];
  readonly lastNumber?: number;
  readonly learned?: LearnedUpTo;
  readonly safety?: SafetyState;
  readonly unlearnedUpTo?: number;
  /** Episodes whose rewards now count. */
  readonly rewarded?: readonly JudgedEpisode[];
  /** The batch that this commit consumes. */
  readonly batch?: BatchEntry;
  readonly gained: Partial<LearnerCounts>;
  readonly events: readonly LearnerEvent[];
}

/**
 * The books of a learner: which version serves, which episodes are consumed, and what is known of each version's rewards.
 * `commit` is the one place where they change, at once in memory and on disk.
 */
export class Ledger {
  #pointer: ServingPointer;
  /** Start offsets of the consumed episodes that start at or after the pointer's offset. */
  #consumed = new Map<string, number>();
  /** Where there is no store. */
  readonly #batches: BatchRecord[] = [];
  readonly #store: VersionStore | undefined;
  readonly #now: () => number;

  constructor(base: string, store: VersionStore | undefined, now: () => number) {
    this.#store = store;
    this.#now = now;
    this.#pointer = {
      sequence: 0,
      line: 0,
      lastBatch: 0,
      unlearnedUpTo: 0,
      version: base,
      ancestors: [],
      lastNumber: 0,
      learned: { offset: 0, consumed: [], credit: EMPTY_CREDIT },
      rewards: {},
      counts: NO_COUNTS,
      outbox: [],
    };
  }

  get pointer(): ServingPointer {
    return this.#pointer;
  }

  /** Goes on from what a store recovered. */
  restore(pointer: ServingPointer): void {
    this.#pointer = pointer;
    this.#consumed = new Map(pointer.learned.consumed.map((id) => [id, Number.POSITIVE_INFINITY]));
  }

  /** Begins a new line from the base, over everything that is not of users who are unlearned up to that offset. */
  beginLine(line: number, unlearnedUpTo: number): void {
    this.#pointer = { ...this.#pointer, line, unlearnedUpTo };
  }

  /** The records of the batches that count, the newest first. */
  async *batches(): AsyncGenerator<BatchRecord> {
    for (let at = this.#pointer.lastBatch; at > 0; ) {
      const record = (await this.#store?.batch(at)) ?? this.#batches.find(({ sequence }) => sequence === at)!;
      yield record;
      at = record.after;
    }
  }

  /** Without a store: leaves what is before `offset` alone. */
  beginAt(offset: number): void {
    this.#pointer = { ...this.#pointer, learned: { ...this.#pointer.learned, offset } };
  }

  /** Keeps version numbers from being given out again. */
  noteNumber(number: number): void {
    if (number > this.#pointer.lastNumber) this.#pointer = { ...this.#pointer, lastNumber: number };
  }

  /** Notes where a consumed episode starts, when the log tells. */
  noteStart(episodeId: string, offset: number): void {
    if (this.#consumed.has(episodeId)) this.#consumed.set(episodeId, offset);
  }

  isConsumed(episodeId: string, offset: number): boolean {
    return offset < this.#pointer.learned.offset || this.#consumed.has(episodeId);
  }

  /**
   * What will have been learned up to once `episodes` are consumed: the offset is the least start of an episode that is not,
   * and the ids are those of the consumed episodes beyond it.
   *
   * @param openOffsets starts of the episodes that will not be consumed.
   * @param end the offset up to which the log was read.
   */
  learnedUpTo(
    episodes: readonly JudgedEpisode[],
    { credit, feedback }: { readonly credit: CreditState; readonly feedback?: FeedbackState | undefined },
    openOffsets: readonly number[],
    end: number,
  ): LearnedUpTo {
    const offset = openOffsets.reduce((least, start) => Math.min(least, start), end);
    const starts = new Map(this.#consumed);
    for (const episode of episodes) starts.set(episode.episodeId, episode.offset);
    const consumed = [...starts].filter(([, start]) => start >= offset).map(([id]) => id);
    return { offset, consumed, credit, ...(feedback && { feedback }) };
  }

  rewardsOf(version: string, further: readonly number[]): RewardStatistics | undefined {
    return further.reduce(addReward, this.#pointer.rewards[version]) as RewardStatistics | undefined;
  }

  /**
   * Writes an entry: the commit point. Before it nothing of the entry has happened, after it all of it has; its events are
   * in the pointer's outbox and yet to be told.
   */
  async commit(entry: LedgerEntry): Promise<void> {
    const { gained, events, rewarded = [], batch, ...moved } = entry;
    const before = this.#pointer;
    const sequence = before.sequence + 1;
    const counts = addCounts(before.counts, gained);
    const next = { ...before, ...moved, sequence, counts, ...(batch && { lastBatch: sequence }) };
    const rewards: Record<string, RewardStatistics> = { ...before.rewards };
    for (const { version, reward } of rewarded.map(rewardByVersion).filter((known) => known !== undefined))
      rewards[version] = addReward(rewards[version], reward);
    const lineage = [next.version, ...next.ancestors];
    for (const version of Object.keys(rewards)) if (!lineage.includes(version)) delete rewards[version];
    const author = next.line === 0 ? "learner" : `learner.${next.line}`;
    const outbox = events.map((event, index) => this.event(`${author}#${sequence}-${index}`, event, next.version));
    const pointer: ServingPointer = { ...next, rewards, outbox };
    if (batch !== undefined) await this.#record({ sequence, after: before.lastBatch, ...batch, counts });
    await this.#store?.point(pointer);
    const starts = new Map([
      ...this.#consumed,
      ...rewarded.map(({ episodeId, offset }) => [episodeId, offset] as const),
    ]);
    this.#consumed = new Map(pointer.learned.consumed.map((id) => [id, starts.get(id) ?? Number.POSITIVE_INFINITY]));
    this.#pointer = pointer;
  }

  /** It counts once the pointer says so. */
  async #record(record: BatchRecord): Promise<void> {
    if (this.#store === undefined) this.#batches.push(record);
    else await this.#store.writeBatch(record);
  }

  /** An event that belongs to no session. */
  event(id: string, payload: LearnerEvent, policyVersion = this.#pointer.version): AgentEvent {
    return {
      id,
      time: this.#now(),
      sessionId: "",
      episodeId: "",
      stepIndex: -1,
      policyVersion,
      ...payload,
    };
  }
}

/** What an error event says of whatever was thrown. */
export function errorPayload(cause: unknown): LearnerEvent {
  return {
    type: "error",
    code: AgentError.isInstance(cause) ? cause.code : "learner/failed",
    message: messageOf(cause),
  };
}

function addCounts(counts: LearnerCounts, { dropped, ...gained }: Partial<LearnerCounts>): LearnerCounts {
  const sum: Record<string, unknown> = { ...counts };
  for (const [key, more] of Object.entries(gained)) sum[key] = (counts[key as keyof typeof gained] ?? 0) + more;
  const reasons = DROP_REASONS.map((reason) => [reason, counts.dropped[reason] + (dropped?.[reason] ?? 0)]);
  return { ...sum, dropped: Object.fromEntries(reasons) } as unknown as LearnerCounts;
}
