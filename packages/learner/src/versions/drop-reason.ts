/**
 * Why a step was not trained on.
 *
 * - `stale`: the version that took it was too far behind.
 * - `malformed`: its token record cannot be trained on, or was taken greedily.
 * - `failedUpdate`: the update that it was in failed.
 * - `noTokens`: it has no token record: of a hosted model, or text alone.
 * - `noTeacher`: it has a hint and no credit, and its prompt could not be built again token by token.
 * - `nothingLearned`: neither credit nor hint.
 * - `heldOut`: of a session that gets nothing that was learned, so that lift can be measured.
 * - `quarantined`: its user contradicts all others, or a tool's output in its context speaks to the judge.
 * - `rateLimited`: its user gave more explicit feedback in one hour than counts.
 * - `unanswered`: nothing came after its episode, or the episode was cut off.
 * - `unlearned`: of a session with a user who is not to be learned from.
 */
export const DROP_REASONS = [
  "stale",
  "malformed",
  "failedUpdate",
  "noTokens",
  "noTeacher",
  "nothingLearned",
  "heldOut",
  "quarantined",
  "rateLimited",
  "unanswered",
  "unlearned",
] as const;
/** One of {@link DROP_REASONS}. */
export type DropReason = (typeof DROP_REASONS)[number];

/** Steps that were not trained on, by reason. */
export type DroppedSteps = Readonly<Record<DropReason, number>>;

/** How many were dropped for each reason. */
export function countDropped(dropped: Iterable<{ readonly reason: DropReason }>): DroppedSteps {
  const counts = Object.fromEntries(DROP_REASONS.map((reason) => [reason, 0])) as Record<DropReason, number>;
  for (const { reason } of dropped) counts[reason]++;
  return counts;
}
