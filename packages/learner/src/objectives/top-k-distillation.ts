import { AgentError } from "@afterstate/core";
import type { LossAndGradient, Ragged } from "./ragged.js";

/** The tail's probability is at least 1 − e^(−this). */
const LEAST_TAIL = 1e-7;

/**
 * Reverse KL to a teacher of whom only the K likeliest tokens are known; the others are one bin.
 *
 *   p_tail = 1 − Σ_k p_k,  likewise q_tail
 *   KL_t = Σ_k p_k (log p_k − log q_k) + p_tail (log p_tail − log q_tail),  p the student, q the teacher
 *   ∂KL_t/∂log p_k = p_k [(log p_k − log q_k) − (log p_tail − log q_tail)]
 *
 * After on-policy distillation, arXiv:2306.13649, with the tail of OpenClaw-RL, arXiv:2603.10165. The K log-probabilities are
 * independent inputs here; what ties them is the softmax that they come from.
 *
 * @param studentLogProbs of the teacher's K likeliest tokens. [token][k] @param teacherLogProbs the same. [token][k]
 * @param mask [token] @param weights of each token in the loss. [token]
 * @returns with `tokenKl` [token]; the gradient is by the student's log-probabilities. [token][k]
 * @throws AgentError `tensor/shape`.
 */
export function topKDistillation(batch: {
  readonly studentLogProbs: Ragged;
  readonly teacherLogProbs: Ragged;
  readonly mask: readonly number[];
  readonly weights: readonly number[];
}): LossAndGradient & { readonly tokenKl: readonly number[] } {
  const { studentLogProbs, teacherLogProbs, mask, weights } = batch;
  const lengths = [studentLogProbs, teacherLogProbs, weights].map(({ length }) => length);
  if (lengths.some((length) => length !== mask.length))
    throw new AgentError("tensor/shape", `${lengths.join(", ")} tokens do not go with a mask of ${mask.length}`);
  let loss = 0;
  const tokenKl: number[] = [];
  const gradient = mask.map((sampled, t) => {
    const [student, teacher] = [studentLogProbs[t]!, teacherLogProbs[t]!];
    if (!sampled) {
      tokenKl.push(0);
      return student.map(() => 0);
    }
    const [p, q] = [tail(student), tail(teacher)];
    const differences = student.map((logProb, k) => logProb - teacher[k]!);
    const kl = student.reduce((sum, logProb, k) => sum + Math.exp(logProb) * differences[k]!, 0);
    const tailKl = Math.exp(p.logProb) * (p.logProb - q.logProb);
    tokenKl.push(kl + tailKl);
    loss += weights[t]! * (kl + tailKl);
    const rest = p.held ? -1 : p.logProb - q.logProb; // a tail that is held at its least does not move
    return student.map((logProb, k) => weights[t]! * Math.exp(logProb) * (differences[k]! - rest));
  });
  return { loss, gradient, tokenKl };
}

/** log(1 − Σ_k p_k), and whether it is held at its least. */
function tail(logProbs: readonly number[]): { readonly logProb: number; readonly held: boolean } {
  const most = Math.max(...logProbs);
  const logSum = most + Math.log(logProbs.reduce((sum, logProb) => sum + Math.exp(logProb - most), 0));
  return { logProb: Math.log(-Math.expm1(Math.min(-LEAST_TAIL, logSum))), held: logSum > -LEAST_TAIL };
}

/**
 * A teacher of whom only the K likeliest tokens are known, completed to the whole vocabulary by the student's own tail.
 *
 *   q(v) = q_k where v is the k-th of them, else q_tail p(v) / p_tail,  p the student
 *
 * At that student KL(p ‖ q) and its gradient by the scores are those of {@link topKDistillation}: within the tail p and q differ by one
 * factor. Once the student has moved, its tail is held to the shape that it had.
 *
 * @param logProbs log p of every token, which become log q. [vocab]
 * @param ids of the K tokens. @param teacherLogProbs log q_k. [K]
 */
export function completeTeacher(
  logProbs: Float32Array,
  ids: readonly number[],
  teacherLogProbs: readonly number[],
): void {
  const shift = tail(teacherLogProbs).logProb - tail(ids.map((id) => logProbs[id]!)).logProb;
  for (let v = 0; v < logProbs.length; v++) logProbs[v]! += shift;
  for (const [k, id] of ids.entries()) logProbs[id] = teacherLogProbs[k]!;
}
