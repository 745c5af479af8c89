import type { LearnerParts } from "./learner-parts.js";
import { dropTrial } from "./try-canary.js";

/** Goes on where the store says, or begins, and reads the log: serves what served, and tells what was not told. */
export async function recoverLearner(parts: LearnerParts): Promise<void> {
  const { options, ledger, versions, reader, fold, surroundings } = parts;
  const { log, store, policy } = options;
  const { base, reference } = versions;
  const recovery = await store?.recover(base, reference);
  if (recovery?.pointer) {
    ledger.restore(recovery.pointer);
    options.head?.restore(recovery.pointer.learned.head);
  } else if (store === undefined) ledger.beginAt(log.nextOffset);
  const { version, ancestors, outbox } = ledger.pointer;
  if (recovery?.weights && !versions.loaded.has(version)) versions.load(version, recovery.weights);
  versions.remember(version, ancestors);
  if (version !== policy.serving) policy.serve(version);
  if (version !== base) {
    versions.optimizer = await store?.optimizer(version, reference).catch((cause) => surroundings.tellFailure(cause));
  }
  await recoverTrial(parts);
  const told = await reader.read();
  fold.giveUpUnended(surroundings.startedAt());
  takeReady(parts);
  for (const problem of recovery?.problems ?? []) await surroundings.tellFailure(problem);
  for (const event of outbox) if (!told.has(event.id)) await surroundings.emit(event);
}

/** Loads the candidate on trial; one that cannot be read is dropped. */
async function recoverTrial(parts: LearnerParts): Promise<void> {
  const { canary } = parts.ledger.pointer.safety ?? {};
  if (canary === undefined) return;
  await parts.versions.bringBack(canary.version).catch(async (cause) => {
    await parts.surroundings.tellFailure(cause);
    await dropTrial(parts, "its files could not be read");
  });
}

/** Moves what became ready from what was read to what is to be learned from; what is unlearned is only consumed. */
export function takeReady({ fold, backlog, unlearned }: LearnerParts): void {
  const ready = fold.takeReady();
  backlog.addReady(
    ready.map((episode) => (unlearned.isUnlearned(episode.sessionId) ? { ...episode, skipped: "unlearned" } : episode)),
  );
}
