import type { AgentEvent, LogRecord, ToolDefinition } from "@afterstate/core";
import { systemClock } from "@afterstate/core";
import { drawProbe } from "../safety/probe.js";
import { isHeldOut } from "../safety/session-draw.js";
import type { PolicyWeights, TrustRegion } from "../types.js";
import { versionNumber } from "../versions/version-manifest.js";
import { type Backlog, openBacklog } from "./backlog.js";
import { type EpisodeFold, type FoldedEpisode, foldEpisodes } from "./episode-fold.js";
import { HeldOutGate } from "./held-out-gate.js";
import type { OnlineLearnerOptions } from "./learner-options.js";
import { Ledger } from "./ledger.js";
import { LogReader } from "./log-reader.js";
import { type ServedVersions, servedVersions } from "./served-versions.js";
import { type UnlearnedUsers, unlearnedUsers } from "./unlearned-users.js";

/** What the tasks of a running learner work on; one task at a time. */
export interface LearnerParts {
  readonly options: OnlineLearnerOptions;
  readonly ledger: Ledger;
  readonly versions: ServedVersions;
  readonly fold: EpisodeFold;
  readonly backlog: Backlog;
  readonly gate: HeldOutGate;
  readonly reader: LogReader;
  readonly unlearned: UnlearnedUsers;
  readonly surroundings: LearnerSurroundings;
  isHeldOut(sessionId: string): boolean;
  /** What bounds updates; drawn from the base at the first call. */
  trustRegion(): Promise<TrustRegion | undefined>;
  now(): number;
}

/** What a learner is told from outside, and whom it tells. */
export interface LearnerSurroundings {
  /** The version that came with the policy. */
  readonly base: { readonly version: string; readonly weights: PolicyWeights };
  /** Tools in the prompts that the policy sees. */
  readonly tools: () => readonly ToolDefinition[];
  /** Tells of an event through the agent. */
  readonly emit: (event: AgentEvent) => Promise<void>;
  /** Tells of a failure that was got over. Must not throw. */
  readonly tellFailure: (cause: unknown) => Promise<undefined>;
  /** Whether the signals that the log has of an episode are all: nothing is judged anew then. */
  readonly isJudged: (episode: FoldedEpisode) => boolean;
  /** The log offset at which this process began: the runs of episodes that began before it are over. */
  readonly startedAt: () => number;
}

/** Opens the parts of a learner that has not begun. */
export function openParts(options: OnlineLearnerOptions, surroundings: LearnerSurroundings): LearnerParts {
  const { policy, store, signals, log } = options;
  const now = () => (options.clock ?? systemClock).now();
  const holdout = { share: options.holdoutShare ?? 0, seed: options.seed ?? 0 };
  const heldOut = (sessionId: string) => isHeldOut(sessionId, holdout);
  const ledger = new Ledger(surroundings.base.version, store, now);
  const fold = foldEpisodes((id, offset) => ledger.isConsumed(id, offset));
  const unlearned = unlearnedUsers();
  const take = (record: LogRecord) => {
    const { event, offset } = record;
    if (event.type === "policy-update" && store === undefined) ledger.noteNumber(versionNumber(event.candidate));
    if (event.type === "episode-start") ledger.noteStart(event.episodeId, offset);
    unlearned.take(record);
    fold.take(record);
  };
  let region: Promise<TrustRegion | undefined> | undefined;
  return {
    options,
    ledger,
    versions: servedVersions(policy, store, surroundings.base),
    fold,
    backlog: openBacklog(signals, heldOut),
    gate: new HeldOutGate(options),
    reader: new LogReader(log, take),
    unlearned,
    surroundings,
    isHeldOut: heldOut,
    trustRegion: () => (region ??= regionOf(options, surroundings)),
    now,
  };
}

async function regionOf(
  { trustRegion, policy, seed = 0 }: OnlineLearnerOptions,
  { base, tools }: LearnerSurroundings,
): Promise<TrustRegion | undefined> {
  if (trustRegion === undefined) return undefined;
  const { contexts, maxKl } = trustRegion;
  return { probe: await drawProbe(policy, base.version, contexts, { tools: tools(), seed }), maxKl };
}
