import { assertSameShape, mapMasked, type Ragged } from "./ragged.js";

/**
 * The advantage of on-policy distillation: how much likelier the teacher finds each token that the student sampled.
 *
 *   Δ_t = clip(log π_teacher(a_t ∣ o_t, hint) − log π_old(a_t ∣ o_t), −c, c)        OpenClaw-RL, hindsight OPD
 *
 * Its expectation under the student is −KL(π_old ‖ π_teacher) before clipping. Both must be scored on the same ids.
 *
 * @returns Δ_t, 0 where the mask is 0. [row][token]
 * @throws AgentError `tensor/shape`.
 */
export function distillationAdvantages(
  batch: { readonly teacherLogProbs: Ragged; readonly oldLogProbs: Ragged; readonly mask: Ragged },
  clip: number,
): number[][] {
  const { teacherLogProbs, oldLogProbs, mask } = batch;
  assertSameShape(mask, batch);
  return mapMasked(mask, (row, t) =>
    Math.min(clip, Math.max(-clip, teacherLogProbs[row]![t]! - oldLogProbs[row]![t]!)),
  );
}

/**
 * Rewards and a teacher in one advantage (OpenClaw-RL, arXiv:2603.10165, combined).
 *
 *   Â_t = w_rl Â_rl,t + w_opd Δ_t
 *
 * Differs from the release: a row without a teacher has Δ = 0 and learns from its rewards alone; filling missing teacher
 * log-probabilities with 0 would praise every token.
 *
 * @param taught whether row i has a teacher. [row]
 * @returns 0 where the mask is 0. [row][token]
 * @throws AgentError `tensor/shape`.
 */
export function combinedAdvantages(
  batch: { readonly advantages: Ragged; readonly distillation: Ragged; readonly mask: Ragged },
  taught: readonly boolean[],
  { rewardWeight, distillationWeight }: { readonly rewardWeight: number; readonly distillationWeight: number },
): number[][] {
  const { advantages, distillation, mask } = batch;
  assertSameShape(mask, batch);
  return mapMasked(
    mask,
    (row, t) => rewardWeight * advantages[row]![t]! + (taught[row] ? distillationWeight * distillation[row]![t]! : 0),
  );
}
