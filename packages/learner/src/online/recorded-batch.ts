import type { EventLog } from "@afterstate/core";
import type { PolicyRuntime } from "../types.js";
import type { BatchRecord, ConsumedEpisode, UpdateRecord } from "../versions/batch-record.js";
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
  const consumed = records.flatMap(({ episodes, update }) => [...episodes, ...(update?.replay?.episodes ?? [])]);
  const wanted = new Set(consumed.map(({ episodeId }) => episodeId));
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
export async function batchAgain(
  record: UpdatedBatch,
  episodes: ReadonlyMap<string, FoldedEpisode>,
  encodePrompt: PolicyRuntime["encodePrompt"],
): Promise<{ readonly batch: GuardedBatch; readonly lacks: readonly string[] }> {
  const { recipe, credit, feedback, parent, ancestors, generation = 0, seed, tools, replay } = record.update;
  const lacks: string[] = [];
  const judgedAgain = ({ episodeId, signals, skipped }: ConsumedEpisode) => {
    if (skipped !== undefined) return [];
    const episode = episodes.get(episodeId);
    if (episode === undefined) {
      lacks.push(`the log has no whole episode "${episodeId}"`);
      return [];
    }
    const known = new Set(episode.steps.flatMap(({ signalIds }) => [...signalIds.keys()]));
    for (const id of signals) if (!known.has(id)) lacks.push(`the log has no signal "${id}"`);
    return [judgedBefore(episode, signals)];
  };
  const judged = record.episodes.flatMap(judgedAgain);
  const again = replay && { ...replay, episodes: replay.episodes.flatMap(judgedAgain) };
  const lineage = ancestors[0] === parent ? ancestors : [parent, ...ancestors];
  const material = {
    episodes: judged,
    credit,
    ...(feedback && { feedback }),
    lineage,
    generation,
    seed,
    tools,
    ...(again && { replay: again }),
  };
  return { batch: await updateBatch(recipe, material, encodePrompt), lacks };
}
