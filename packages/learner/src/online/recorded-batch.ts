import type { EventLog } from "@afterstate/core";
import type { PolicyRuntime } from "../types.js";
import type { BatchRecord, UpdateRecord } from "../versions/batch-record.js";
import { type FoldedEpisode, foldEpisodes } from "./episode-fold.js";
import { judgedBefore } from "./judged-episode.js";
import { type GuardedBatch, updateBatch } from "./make-update.js";

/** A batch whose update came to a candidate. */
export type UpdatedBatch = BatchRecord & { readonly update: UpdateRecord };

/** The episodes that batches learned from, by id, as the log has them now. */
export async function episodesOf(
  log: Pick<EventLog, "read">,
  records: readonly BatchRecord[],
): Promise<ReadonlyMap<string, FoldedEpisode>> {
  const wanted = new Set(records.flatMap(({ episodes }) => episodes.map(({ episodeId }) => episodeId)));
  const fold = foldEpisodes((episodeId) => !wanted.has(episodeId));
  for await (const record of log.read(0)) fold.take(record);
  return new Map(fold.all().map((episode) => [episode.episodeId, episode]));
}

/**
 * The samples of a recorded batch made again: with the signals that counted, the credit that was remembered, the recipe, seed and tools of
 * then. Nothing is judged anew.
 *
 * @returns with what the log lacks, in sentences.
 */
export function batchAgain(
  record: UpdatedBatch,
  episodes: ReadonlyMap<string, FoldedEpisode>,
  encodePrompt: PolicyRuntime["encodePrompt"],
): { readonly batch: GuardedBatch; readonly lacks: readonly string[] } {
  const { recipe, credit, feedback, parent, ancestors, seed, tools } = record.update;
  const lacks: string[] = [];
  const judged = record.episodes.flatMap(({ episodeId, signals, skipped }) => {
    if (skipped !== undefined) return [];
    const episode = episodes.get(episodeId);
    if (episode === undefined) {
      lacks.push(`the log has no whole episode "${episodeId}"`);
      return [];
    }
    const known = new Set(episode.steps.flatMap(({ signalIds }) => [...signalIds.keys()]));
    for (const id of signals) if (!known.has(id)) lacks.push(`the log has no signal "${id}"`);
    return [judgedBefore(episode, signals)];
  });
  const lineage = ancestors[0] === parent ? ancestors : [parent, ...ancestors];
  const material = { episodes: judged, credit, ...(feedback && { feedback }), lineage, seed, tools };
  return { batch: updateBatch(recipe, material, encodePrompt), lacks };
}
