import { AgentError, mixSeed } from "@afterstate/core";
import type { ConsumedEpisode, UpdateDigests, UpdateRecord } from "../versions/batch-record.js";
import { countDropped } from "../versions/drop-reason.js";
import { digestsOf } from "../versions/version-files.js";
import { versionName } from "../versions/version-manifest.js";
import type { Batch } from "./assemble-batch.js";
import type { JudgedEpisode } from "./judged-episode.js";
import type { LearnerParts } from "./learner-parts.js";
import { errorPayload, type LedgerEntry } from "./ledger.js";
import { recipeOf, updateBatch, updateRequest } from "./make-update.js";
import { tellOutbox, tidy } from "./serving-changes.js";

/** Ancestors that a version remembers. */
const MAX_ANCESTORS = 64;

/** One update: from a batch of episodes to a committed decision on a candidate. */
export async function learnBatch(parts: LearnerParts, episodes: readonly JudgedEpisode[]): Promise<void> {
  const { options, ledger, versions, gate } = parts;
  const tools = parts.surroundings.tools();
  const { policy, trainer, mode, store, seed = 0 } = options;
  const { version: parent, ancestors: elders, lastNumber, sequence, line, learned } = ledger.pointer;
  const recipe = recipeOf(options);
  const ancestors = [parent, ...elders].slice(0, MAX_ANCESTORS);
  const material = {
    episodes,
    credit: learned.credit,
    lineage: ancestors,
    seed: mixSeed(seed, "votes", lastNumber),
    tools,
    ...(recipe.replayEpisodes && { replay: { episodes: parts.consumed.episodes, hints: learned.hints ?? [] } }),
  };
  const batch = updateBatch(recipe, material, (messages, tools) => policy.encodePrompt(messages, tools));
  const { samples } = batch;
  const { replay } = material;
  if (samples.length === 0) return commitBatch(parts, episodes, batch, { gained: {}, events: [] });
  const candidate = versionName(lastNumber + 1, line);
  const { optimizer, reference } = versions;
  try {
    const weights = policy.weights(parent);
    const result = await trainer.update(updateRequest(recipe, batch, { weights, optimizer, reference }));
    versions.load(candidate, result.weights);
    const { accepted, numbers } = await gate.judge(candidate, parent, result.metrics);
    const promoted = accepted && mode === "live";
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
    await commitBatch(
      parts,
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
          replayed: batch.replayed.length,
        },
        events: promoted ? [updated, promotion] : [updated],
      },
      {
        candidate,
        parent,
        ancestors,
        accepted,
        promoted,
        recipe,
        credit: material.credit,
        seed: material.seed,
        tools,
        ...(replay && { replay: { ...replay, episodes: replay.episodes.map(consumedEpisode) } }),
        withOptimizer: optimizer !== undefined,
        backend: trainer.backend,
        ...(digests && { digests }),
      },
      () => {
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
    if (ledger.pointer.version !== candidate) versions.unload(candidate);
    await tidy(parts);
  }
}

/** Consumes episodes. `serve` runs once that is certain, before it is told. */
async function commitBatch(
  parts: LearnerParts,
  episodes: readonly JudgedEpisode[],
  batch: Batch,
  entry: LedgerEntry,
  update?: UpdateRecord,
  serve: () => void = () => {},
): Promise<void> {
  const { ledger, backlog, fold } = parts;
  const { samples, dropped } = batch;
  await ledger.commit({
    ...entry,
    gained: { ...entry.gained, episodes: episodes.length, dropped: countDropped(dropped) },
    learned: learnedUpTo(parts, episodes, batch),
    rewarded: episodes,
    batch: {
      episodes: episodes.map(consumedEpisode),
      samples: samples.map(({ of, offset }) => ({ of, offset })),
      dropped,
      ...(update && { update }),
    },
  });
  backlog.remove(episodes);
  parts.consumed.add(episodes.filter(({ skipped }) => skipped === undefined));
  for (const { episodeId } of episodes) fold.release(episodeId);
  serve();
  await tellOutbox(parts);
}

function learnedUpTo(
  { ledger, fold, backlog, reader }: LearnerParts,
  episodes: readonly JudgedEpisode[],
  batch: Batch,
) {
  const open = [...fold.unready(), ...backlog.offsetsWithout(episodes)];
  return { ...ledger.learnedUpTo(episodes, batch.credit, open, reader.cursor), hints: batch.hints };
}

/** As the books have it. */
function consumedEpisode({ episodeId, offset, steps }: JudgedEpisode): ConsumedEpisode {
  return { episodeId, offset, signals: steps.flatMap(({ signalIds }) => [...signalIds.keys()]) };
}

/** A disk that is full or away: the batch is kept and tried again. */
function isStorageFailure(cause: unknown): boolean {
  return cause instanceof Error && typeof (cause as NodeJS.ErrnoException).syscall === "string";
}
