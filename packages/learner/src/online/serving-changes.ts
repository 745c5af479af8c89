import type { LearnerParts } from "./learner-parts.js";
import { rewardFell } from "./reward-watch.js";

/** Tells of what the last commit implies. */
export async function tellOutbox({ ledger, surroundings }: LearnerParts): Promise<void> {
  for (const event of ledger.pointer.outbox) await surroundings.emit(event);
}

/** Serves another version from now on. @throws AgentError `policy/unknown-version`, `checkpoint/corrupt`. */
export async function rollBack(parts: LearnerParts, version: string, reason: string): Promise<void> {
  const { ledger, versions, options } = parts;
  const { policy, store } = options;
  const from = ledger.pointer.version;
  if (version === from) return;
  const ancestors = await versions.ancestorsOf(version);
  await versions.bringBack(version);
  const optimizer = version === versions.base ? undefined : await store?.optimizer(version, versions.reference);
  const events = [{ type: "policy-rollback", from, to: version, reason } as const];
  await ledger.commit({ version, ancestors, gained: { rollbacks: 1 }, events });
  versions.optimizer = optimizer;
  policy.serve(version);
  await tellOutbox(parts);
  await tidy(parts);
}

/** Rolls back by itself when the reward of the serving version has fallen below that of its parent. */
export async function watchReward(parts: LearnerParts): Promise<void> {
  const { ledger, backlog, options } = parts;
  const { rollback = { episodes: 32, z: 2.58 }, mode } = options;
  const { version, ancestors } = ledger.pointer;
  const parent = ancestors[0];
  if (mode !== "live" || parent === undefined) return;
  const rewardsOf = (of: string) => ledger.rewardsOf(of, backlog.rewardsOf(of));
  const [serving, before] = [rewardsOf(version), rewardsOf(parent)];
  if (!rewardFell(serving, before, rollback)) return;
  const reason = `mean reward fell from ${before!.mean.toFixed(3)} to ${serving!.mean.toFixed(3)}`;
  await rollBack(parts, parent, reason);
}

/** Frees what neither serves nor can be rolled back to. Must not throw. */
export async function tidy({ ledger, versions, gate, options, surroundings }: LearnerParts): Promise<void> {
  const { keepVersions = 8, store } = options;
  const { version } = ledger.pointer;
  gate.keepOnly(version);
  versions.trim(version, keepVersions);
  await store?.prune(keepVersions, version).catch((cause) => surroundings.tellFailure(cause));
}
