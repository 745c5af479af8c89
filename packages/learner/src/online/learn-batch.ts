import { AgentError, mixSeed, type ToolDefinition } from "@afterstate/core";
import type { Batch } from "./assemble-batch.js";
import type { JudgedEpisode } from "./judged-episode.js";
import type { LearnerParts } from "./learner-parts.js";
import { errorPayload, type LedgerEntry } from "./ledger.js";
import { recipeOf, updateBatch, updateRequest } from "./make-update.js";
import { tellOutbox, tidy } from "./serving-changes.js";

/** Ancestors that a version remembers. */
const MAX_ANCESTORS = 64;

/** One update: from a batch of episodes to a committed decision on a candidate. */
export async function learnBatch(
  parts: LearnerParts,
  episodes: readonly JudgedEpisode[],
  tools: readonly ToolDefinition[],
): Promise<void> {
  const { options, ledger, versions, gate } = parts;
  const { policy, trainer, mode, store, seed = 0 } = options;
  const { version: parent, ancestors: elders, lastNumber, sequence, learned } = ledger.pointer;
  const recipe = recipeOf(options);
  const ancestors = [parent, ...elders].slice(0, MAX_ANCESTORS);
  const material = {
    episodes,
    credit: learned.credit,
    lineage: ancestors,
    generation: parts.fold.generation,
    seed: mixSeed(seed, "votes", sequence),
    tools,
  };
  const batch = updateBatch(recipe, material, (messages, tools) => policy.encodePrompt(messages, tools));
  const { dropped, samples } = batch;
  if (samples.length === 0) return commitBatch(parts, episodes, batch, { gained: { dropped }, events: [] });
  const candidate = `v${lastNumber + 1}`;
  const { optimizer, reference } = versions;
  try {
    const weights = policy.weights(parent);
    const result = await trainer.update(updateRequest(recipe, batch, { weights, optimizer, reference }));
    versions.load(candidate, result.weights);
    const { accepted, numbers } = await gate.judge(candidate, parent, result.metrics);
    const promoted = accepted && mode === "live";
    if (accepted) {
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
      };
      await store?.write(manifest, result.weights, result.optimizer);
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
          dropped,
        },
        events: promoted ? [updated, promotion] : [updated],
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
    const gained = { dropped: dropped + samples.length };
    return commitBatch(parts, episodes, batch, { gained, events: [errorPayload(cause)] });
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
  serve: () => void = () => {},
): Promise<void> {
  const { ledger, backlog, fold } = parts;
  await ledger.commit({
    ...entry,
    gained: {
      ...entry.gained,
      episodes: episodes.length,
      withoutTokens: batch.withoutTokens,
      ofOlderText: batch.ofOlderText,
    },
    learned: learnedUpTo(parts, episodes, batch),
    rewarded: episodes,
  });
  backlog.remove(episodes);
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
  return ledger.learnedUpTo(episodes, batch.credit, open, reader.cursor);
}

/** A disk that is full or away: the batch is kept and tried again. */
function isStorageFailure(cause: unknown): boolean {
  return cause instanceof Error && typeof (cause as NodeJS.ErrnoException).syscall === "string";
}
