import { AgentError, mixSeed } from "@afterstate/core";
import type { Alarm } from "../safety/alarm.js";
import { NO_FEEDBACK } from "../safety/feedback-guard.js";
import { noteUpdate } from "../safety/note-update.js";
import { NO_SAFETY, withAlarms, withEpisodes, withServing } from "../safety/safety-state.js";
import type { ConsumedEpisode, UpdateDigests, UpdateRecord } from "../versions/batch-record.js";
import { countDropped } from "../versions/drop-reason.js";
import { digestsOf } from "../versions/version-files.js";
import { versionName } from "../versions/version-manifest.js";
import type { JudgedEpisode } from "./judged-episode.js";
import type { LearnerParts } from "./learner-parts.js";
import { errorPayload, type LedgerEntry } from "./ledger.js";
import { type GuardedBatch, recipeOf, updateBatch, updateRequest } from "./make-update.js";
import { outcomesOf, rejectedHints } from "./outcomes.js";
import { tellOutbox, tidy } from "./serving-changes.js";

/** Ancestors that a version remembers. */
const MAX_ANCESTORS = 64;

/** One update: from a batch of episodes to a committed decision on a candidate. */
export async function learnBatch(parts: LearnerParts, episodes: readonly JudgedEpisode[]): Promise<void> {
  const { options, ledger, versions, gate } = parts;
  const tools = parts.surroundings.tools();
  const { policy, trainer, mode, store, seed = 0 } = options;
  const { version: parent, ancestors: elders, lastNumber, sequence, line, learned } = ledger.pointer;
  const recipe = recipeOf(options, await parts.trustRegion());
  const ancestors = [parent, ...elders].slice(0, MAX_ANCESTORS);
  const material = {
    episodes,
    credit: learned.credit,
    ...(learned.feedback && { feedback: learned.feedback }),
    lineage: ancestors,
    generation: generationOf(parts, episodes),
    seed: mixSeed(seed, "votes", lastNumber),
    tools,
    ...(recipe.replayEpisodes && { replay: { episodes: parts.consumed.episodes, hints: learned.hints ?? [] } }),
  };
  const batch = await updateBatch(recipe, material, (messages, tools) => policy.encodePrompt(messages, tools));
  const { samples } = batch;
  const { replay } = material;
  if (samples.length === 0) return commitBatch(parts, episodes, batch, { gained: {}, events: [] });
  const candidate = versionName(lastNumber + 1, line);
  const { optimizer, reference } = versions;
  try {
    const weights = policy.weights(parent);
    const result = await trainer.update(updateRequest(recipe, batch, { weights, optimizer, reference }));
    versions.load(candidate, result.weights);
    const verdict = await gate.judge(candidate, parent, result.metrics);
    const { accepted, numbers } = verdict;
    const served = accepted && mode === "live";
    const promoted = served && options.canary === undefined;
    const tried = served && !promoted;
    let digests: UpdateDigests | undefined;
    if (store !== undefined && !accepted) digests = digestsOf(result);
    if (store !== undefined && accepted) {
      const manifest = {
        version: candidate,
        parent,
        ancestors,
        createdAt: parts.now(),
        promoted,
        samples: samples.map(({ of, offset }) => ({ of, offset })),
        gate: numbers,
        metrics: result.metrics,
        learned: learnedUpTo(parts, episodes, batch),
        batch: sequence + 1,
      };
      digests = await store.write(manifest, result.weights, result.optimizer);
    }
    const metrics = { ...result.metrics, gateAccepted: accepted ? 1 : 0 };
    const updated = { type: "policy-update", candidate, parent, samples: samples.length, metrics } as const;
    const promotion = { type: "policy-promotion", version: candidate, parent, gate: numbers } as const;
    const before = withEpisodes(ledger.pointer.safety ?? NO_SAFETY, episodes, parts.isHeldOut);
    const noted = noteUpdate(before, { batch, verdict, metrics: result.metrics }, options.drift);
    const since = parts.reader.cursor;
    const canary = { version: candidate, ancestors, since, gate: numbers };
    await commitBatch(
      parts,
      episodes,
      batch,
      {
        lastNumber: lastNumber + 1,
        ...(promoted && { version: candidate, ancestors }),
        safety: promoted
          ? withServing(noted.state, since)
          : { ...noted.state, ...(tried && { canary, liftSince: noted.state.liftSince ?? since }) },
        gained: {
          updates: 1,
          promotions: promoted ? 1 : 0,
          rejections: accepted ? 0 : 1,
          samples: samples.length,
          replayed: batch.replayed.length,
        },
        events: [updated, ...(promoted ? [promotion] : []), ...noted.alarms.map(alarmEvent)],
      },
      {
        candidate,
        parent,
        ancestors,
        accepted,
        promoted,
        recipe,
        credit: material.credit,
        ...(recipe.feedback && { feedback: learned.feedback ?? NO_FEEDBACK }),
        generation: material.generation,
        seed: material.seed,
        tools,
        ...(replay && { replay: { ...replay, episodes: replay.episodes.map(consumedEpisode) } }),
        withOptimizer: optimizer !== undefined,
        backend: trainer.backend,
        ...(digests && { digests }),
      },
      () => {
        if (tried) versions.trialOptimizer = result.optimizer;
        if (!promoted) return;
        versions.optimizer = result.optimizer;
        versions.remember(candidate, ancestors);
        policy.serve(candidate);
      },
    );
  } catch (cause) {
    const committed = ledger.pointer.lastNumber > lastNumber;
    const worthRetrying = (AgentError.isInstance(cause) && cause.retryable) || isStorageFailure(cause);
    if (committed || worthRetrying) throw cause;
    const lost = samples.map(({ of }) => ({ of, reason: "failedUpdate" as const }));
    const failed = { ...batch, samples: [], dropped: [...batch.dropped, ...lost] };
    return commitBatch(parts, episodes, failed, { gained: {}, events: [errorPayload(cause)] });
  } finally {
    const { version, safety } = ledger.pointer;
    if (version !== candidate && safety?.canary?.version !== candidate) versions.unload(candidate);
    await tidy(parts);
  }
}

/** The evolutions of learned text so far; where episodes are learned from again, those that there were when they were learned from. */
function generationOf({ fold, surroundings }: LearnerParts, episodes: readonly JudgedEpisode[]): number {
  if (!episodes.every((episode) => surroundings.isJudged(episode))) return fold.generation;
  return Math.max(...episodes.map(({ generationReady }) => generationReady));
}

/** Consumes episodes. `serve` runs once that is certain, before it is told. */
async function commitBatch(
  parts: LearnerParts,
  episodes: readonly JudgedEpisode[],
  batch: GuardedBatch,
  entry: LedgerEntry,
  update?: UpdateRecord,
  serve: () => void = () => {},
): Promise<void> {
  const { ledger, backlog, fold } = parts;
  const { samples, dropped, alarms } = batch;
  const { safety = NO_SAFETY } = ledger.pointer;
  const untrained = withAlarms(withEpisodes(safety, episodes, parts.isHeldOut), alarms);
  await ledger.commit({
    safety: untrained,
    ...entry,
    events: entry.safety === undefined ? [...entry.events, ...alarms.map(alarmEvent)] : entry.events,
    gained: {
      ...entry.gained,
      episodes: episodes.length,
      rejectedHints: rejectedHints(episodes),
      dropped: countDropped(dropped),
    },
    learned: learnedUpTo(parts, episodes, batch),
    rewarded: episodes,
    batch: {
      episodes: episodes.map(consumedEpisode),
      samples: samples.map(({ of, offset }) => ({ of, offset })),
      dropped,
      ...(update && { update }),
    },
  });
  parts.options.head?.restore(ledger.pointer.learned.head);
  backlog.remove(episodes);
  parts.consumed.add(batch.trusted);
  for (const { episodeId } of episodes) fold.release(episodeId);
  serve();
  await tellOutbox(parts);
}

function learnedUpTo(
  { ledger, fold, backlog, reader, options }: LearnerParts,
  episodes: readonly JudgedEpisode[],
  batch: GuardedBatch,
) {
  const open = [...fold.unready(), ...backlog.offsetsWithout(episodes)];
  const learned = ledger.learnedUpTo(episodes, batch, open, reader.cursor);
  return { ...learned, hints: batch.hints, ...(options.head && { head: options.head.after(outcomesOf(episodes)) }) };
}

/** As the books have it. */
function consumedEpisode({ episodeId, offset, steps, skipped }: JudgedEpisode): ConsumedEpisode {
  const signals = steps.flatMap(({ signalIds }) => [...signalIds.keys()]);
  return { episodeId, offset, signals, ...(skipped && { skipped }) };
}

function alarmEvent(alarm: Alarm) {
  return { type: "alarm", ...alarm } as const;
}

/** A disk that is full or away: the batch is kept and tried again. */
function isStorageFailure(cause: unknown): boolean {
  return cause instanceof Error && typeof (cause as NodeJS.ErrnoException).syscall === "string";
}
