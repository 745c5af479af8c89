import { NO_SAFETY, withEpisodes, withServing } from "../safety/safety-state.js";
import type { LearnerParts } from "./learner-parts.js";
import { rewardFell } from "./reward-watch.js";

/** Tells of what the last commit implies. */
export async function tellOutbox({ ledger, surroundings }: LearnerParts): Promise<void> {
  for (const event of ledger.pointer.outbox) await surroundings.emit(event);
}

/** Serves another version from now on. @throws AgentError `policy/unknown-version`, `checkpoint/corrupt`. */
export async function rollBack(parts: LearnerParts, version: string, reason: string): Promise<void> {
  const { ledger, versions, options, reader, surroundings } = parts;
  const { policy, store } = options;
  const { version: from, safety = NO_SAFETY } = ledger.pointer;
  if (version === from) return;
  const ancestors = await versions.ancestorsOf(version);
  await versions.bringBack(version);
  const optimizer = version === versions.base ? undefined : await store?.optimizer(version, versions.reference);
  const trial = safety.canary?.version;
  const left = [{ type: "policy-rollback", from, to: version, reason } as const];
  const ended = "what it was made of was rolled back";
  const events =
    trial === undefined
      ? left
      : [...left, { type: "policy-rollback", from: trial, to: version, reason: ended } as const];
  const gained = { rollbacks: events.length };
  await ledger.commit({ version, ancestors, safety: withServing(safety, reader.cursor), gained, events });
  // What was rolled back from serves again only when somebody asks for it.
  if (from !== versions.base) await store?.mark(from, false).catch((cause) => surroundings.tellFailure(cause));
  versions.optimizer = optimizer;
  versions.trialOptimizer = undefined;
  policy.serve(version);
  await tellOutbox(parts);
  await tidy(parts);
}

/**
 * Rolls back by itself: to the parent when the reward of the serving version has fallen below that of its parent, and when it is below
 * what held-out sessions got from the base in the same time to the base.
 */
export async function watchReward(parts: LearnerParts): Promise<void> {
  const { ledger, backlog, options, versions, isHeldOut } = parts;
  const { rollback = { episodes: 32, z: 2.58 }, mode } = options;
  const { version, ancestors } = ledger.pointer;
  const parent = ancestors[0];
  if (mode !== "live" || parent === undefined) return;
  const rewardsOf = (of: string) => ledger.rewardsOf(of, backlog.rewardsOf(of));
  const [serving, before] = [rewardsOf(version), rewardsOf(parent)];
  if (rewardFell(serving, before, rollback)) {
    const reason = `mean reward fell from ${before!.mean.toFixed(3)} to ${serving!.mean.toFixed(3)}`;
    return rollBack(parts, parent, reason);
  }
  const { holdout } = withEpisodes(ledger.pointer.safety ?? NO_SAFETY, backlog.judged, isHeldOut);
  if (!rewardFell(serving, holdout, rollback)) return;
  const reason = `mean reward is ${serving!.mean.toFixed(3)}, and ${holdout!.mean.toFixed(3)} in the sessions that are held out`;
  await rollBack(parts, versions.base, reason);
}

/** Frees what neither serves nor can be rolled back to. Must not throw. */
export async function tidy({ ledger, versions, gate, options, surroundings }: LearnerParts): Promise<void> {
  const { keepVersions = 8, store } = options;
  const { version, safety } = ledger.pointer;
  const inUse = [version, ...(safety?.canary ? [safety.canary.version] : [])];
  gate.keepOnly(inUse);
  versions.trim(inUse, keepVersions);
  await store?.prune(keepVersions, inUse).catch((cause) => surroundings.tellFailure(cause));
}
