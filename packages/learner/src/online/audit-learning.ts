import type { EventLog, StepRef } from "@afterstate/core";
import type { BatchRecord } from "../versions/batch-record.js";
import { countDropped, DROP_REASONS, type DroppedSteps } from "../versions/drop-reason.js";
import { NO_COUNTS, type ServingPointer } from "../versions/version-manifest.js";
import type { VersionStore } from "../versions/version-store.js";

/** What became of every step that a log has: steps = trained + dropped + waiting, unless there are problems. */
export interface LearningAudit {
  /** Those of users who were unlearned count, too, when their sessions are erased. */
  readonly steps: number;
  /** In one update, once. */
  readonly trained: number;
  readonly dropped: DroppedSteps;
  /** Of episodes that are not consumed yet. */
  readonly waiting: number;
  /** What does not add up, in sentences; empty when all does. */
  readonly problems: readonly string[];
}

/**
 * Holds the books of a learner against its log: every step is in one record of a batch, once, or its episode is not consumed; the
 * totals are those of the records; every stored version names the samples of its batch.
 *
 * @throws AgentError `log/corrupt`, `checkpoint/corrupt` when they cannot be read.
 */
export async function auditLearning(log: Pick<EventLog, "read">, store: VersionStore): Promise<LearningAudit> {
  const pointer = await store.pointer();
  const records: BatchRecord[] = [];
  for (let at = pointer?.lastBatch ?? 0; at > 0; at = records.at(-1)!.after) records.push(await store.batch(at));
  const problems: string[] = [];
  const fates = new Map<string, "trained" | "dropped">();
  for (const { sequence, samples, dropped } of records)
    for (const [fate, steps] of [
      ["trained", samples],
      ["dropped", dropped],
    ] as const)
      for (const { of } of steps) {
        if (fates.has(nameOf(of)))
          problems.push(`step ${nameOf(of)} is accounted for twice, again in batch ${sequence}`);
        fates.set(nameOf(of), fate);
      }
  const { steps, waiting, missing } = await walkLog(log, pointer, new Set(fates.keys()), problems);
  const erasable = new Set(
    records.flatMap((record) => record.dropped.flatMap(({ of, reason }) => (reason === "unlearned" ? nameOf(of) : []))),
  );
  const erased = missing.filter((name) => erasable.has(name));
  for (const name of missing)
    if (!erasable.has(name)) problems.push(`step ${name} is accounted for, and not in the log`);
  const dropped = countDropped(records.flatMap((record) => record.dropped));
  const trained = records.reduce((sum, { samples }) => sum + samples.length, 0);
  checkTotals(pointer, { trained, dropped, episodes: records.flatMap(({ episodes }) => episodes).length }, problems);
  await checkManifests(store, problems);
  return { steps: steps + erased.length, trained, dropped, waiting, problems };
}

/** Counts the steps of a log, and looks for each among those that are accounted for. */
async function walkLog(
  log: Pick<EventLog, "read">,
  pointer: ServingPointer | undefined,
  accounted: Set<string>,
  problems: string[],
): Promise<{ readonly steps: number; readonly waiting: number; readonly missing: readonly string[] }> {
  const seen = new Set<string>();
  const starts = new Map<string, number>();
  const consumed = new Set(pointer?.learned.consumed);
  let waiting = 0;
  for await (const { event, offset } of log.read(0)) {
    if (event.type === "episode-start") starts.set(event.episodeId, offset);
    if (event.type !== "action") continue;
    const name = nameOf(event);
    if (seen.has(name)) problems.push(`step ${name} is in the log twice`);
    seen.add(name);
    if (accounted.delete(name)) continue;
    waiting++;
    const start = starts.get(event.episodeId) ?? 0;
    if (consumed.has(event.episodeId) || start < (pointer?.learned.offset ?? 0))
      problems.push(`step ${name} is consumed, and in no record of a batch`);
  }
  return { steps: seen.size, waiting, missing: [...accounted] };
}

function checkTotals(
  pointer: ServingPointer | undefined,
  found: { readonly trained: number; readonly dropped: DroppedSteps; readonly episodes: number },
  problems: string[],
): void {
  const counts = pointer?.counts ?? NO_COUNTS;
  const totals = [
    ["samples", counts.samples, found.trained],
    ["episodes", counts.episodes, found.episodes],
    ...DROP_REASONS.map((reason) => [reason, counts.dropped[reason], found.dropped[reason]] as const),
  ] as const;
  for (const [name, told, recorded] of totals)
    if (told !== recorded) problems.push(`the learner counts ${told} ${name}, and its records ${recorded}`);
}

async function checkManifests(store: VersionStore, problems: string[]): Promise<void> {
  const recorded = new Set(await store.batches());
  for (const version of await store.versions()) {
    const { batch, samples } = await store.manifest(version);
    if (!recorded.has(batch)) continue; // a crash came between the version and its record: the next update takes its place
    const record = await store.batch(batch);
    if (record.update?.candidate !== version) continue;
    if (JSON.stringify(record.samples) !== JSON.stringify(samples))
      problems.push(`version ${version} names other samples than batch ${batch}, which it was made of`);
  }
}

const nameOf = ({ episodeId, stepIndex }: StepRef): string => `${episodeId}#${stepIndex}`;
