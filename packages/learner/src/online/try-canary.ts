import { judgeCanary } from "../safety/canary.js";
import { NO_SAFETY, withServing } from "../safety/safety-state.js";
import { rewardByVersion } from "./backlog.js";
import type { LearnerParts } from "./learner-parts.js";
import { tellOutbox, tidy } from "./serving-changes.js";

/**
 * Ends the trial of a candidate when enough of its episodes are judged: promotes it, or drops it. No update is made meanwhile, so that
 * versions stay in one line and every candidate is compared with the version that it was made of; the episodes wait in the backlog,
 * and are what the trial is judged by.
 */
export async function judgeTrial(parts: LearnerParts): Promise<void> {
  const { ledger, backlog, options, isHeldOut } = parts;
  const { canary } = ledger.pointer.safety ?? NO_SAFETY;
  if (canary === undefined) return;
  if (options.canary === undefined) return promoteTrial(parts, {});
  const rewardsOf = (version: string) =>
    backlog.judged.flatMap((episode) => {
      const known = rewardByVersion(episode);
      const counts = episode.offset >= canary.since && !isHeldOut(episode.sessionId);
      return counts && known?.version === version ? [known.reward] : [];
    });
  const { decision, numbers } = judgeCanary(
    rewardsOf(canary.version),
    rewardsOf(ledger.pointer.version),
    options.canary,
  );
  if (decision === "promote") return promoteTrial(parts, numbers);
  if (decision === "wait") return;
  const { canaryReward = 0, servingReward = 0 } = numbers;
  const reason = `on trial its mean reward was ${canaryReward.toFixed(3)}, that of the serving version ${servingReward.toFixed(3)}`;
  await dropTrial(parts, reason);
}

async function promoteTrial(parts: LearnerParts, numbers: Readonly<Record<string, number>>): Promise<void> {
  const { ledger, versions, options, reader } = parts;
  const { version: parent, safety = NO_SAFETY } = ledger.pointer;
  const { version, ancestors, gate } = safety.canary!;
  await versions.bringBack(version);
  const optimizer = versions.trialOptimizer ?? (await options.store?.optimizer(version, versions.reference));
  await options.store?.mark(version, true);
  const event = { type: "policy-promotion", version, parent, gate: { ...gate, ...numbers } } as const;
  await ledger.commit({
    version,
    ancestors,
    safety: withServing(safety, reader.cursor),
    gained: { promotions: 1 },
    events: [event],
  });
  versions.optimizer = optimizer;
  versions.trialOptimizer = undefined;
  versions.remember(version, ancestors);
  options.policy.serve(version);
  await tellOutbox(parts);
  await tidy(parts);
}

/** Ends a trial in favour of what serves. */
export async function dropTrial(parts: LearnerParts, reason: string): Promise<void> {
  const { ledger, versions } = parts;
  const { version: serving, safety = NO_SAFETY } = ledger.pointer;
  const { canary, ...kept } = safety;
  if (canary === undefined) return;
  const event = { type: "policy-rollback", from: canary.version, to: serving, reason } as const;
  await ledger.commit({ safety: kept, gained: { rollbacks: 1 }, events: [event] });
  versions.trialOptimizer = undefined;
  versions.unload(canary.version);
  await tellOutbox(parts);
  await tidy(parts);
}
