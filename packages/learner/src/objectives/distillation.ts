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
