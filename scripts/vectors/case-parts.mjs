// Parts that most cases share: how params of a file name weights, groups and clips, and how policy loss and KL become the expected numbers.
import * as learner from "@afterstate/learner";
import { VectorsError } from "./read-vectors.mjs";

export const broadcast = (rowNumbers, mask) =>
  mask.map((tokens, row) => learner.spreadOverTokens(rowNumbers[row], tokens));

/** Token weights by `loss_agg_mode`. */
export function weightsOf(params, mask) {
  const mode = params.loss_agg_mode;
  const by = (name) => learner.aggregationWeights(name, mask, learner.batchDenominator(name, mask));
  if (mode === undefined || mode.startsWith("seq-mean-token-mean")) return by("seq-mean-token-mean");
  if (mode === "token-mean" || mode === "seq-mean-token-sum") return by(mode);
  const longest = Math.max(...mask.map(({ length }) => length));
  if (mode === "dr-grpo") return learner.aggregationWeights("constant", mask, mask.length * params.horizon);
  if (mode === "seq-mean-token-sum-norm")
    return learner.aggregationWeights("constant", mask, params.loss_scale_factor ?? longest);
  throw new VectorsError(`its loss_agg_mode "${mode}" is not known`);
}

export const groupOptions = ({ std, std_ddof = 1, eps = 1e-6, singleton = "raw" }) => ({
  scale: std === null || std === false ? "none" : "std",
  degreesOfFreedom: std_ddof,
  epsilon: eps,
  singleton,
});

export const clipOptions = ({ clip_low, clip_high, dual_clip_c, delta }) => ({
  clipLow: clip_low,
  clipHigh: clip_high ?? clip_low,
  ...((dual_clip_c ?? delta) && { dualClip: dual_clip_c ?? delta }),
});

export const surrogateBatch = (data, advantages, params, mask = data.mask) => ({
  newLogProbs: data.new_logp,
  oldLogProbs: data.old_logp,
  advantages,
  mask,
  weights: weightsOf(params, mask),
});

/** The estimators as the files name them: their k3 is the clamped one. */
export const KL_ESTIMATORS = {
  k1: "k1",
  k2: "k2",
  k3: "k3-clamped",
  low_var_kl: "k3-clamped",
  abs: "abs",
  k3_unclamped: "k3",
};

/** Policy loss with the KL term that params ask for, under the names of `expected`. */
export async function withKl(losses, policy, data, params, { mask, weights }) {
  const pg = await policy;
  const numbers = { token_loss: pg.tokenLoss, pg_loss: pg.loss, loss: pg.loss, grad: pg.gradient };
  if (!params.kl_loss_coef) return numbers;
  const estimator = KL_ESTIMATORS[params.kl_loss_type ?? "k3"];
  if (estimator === undefined) throw new VectorsError(`its kl_loss_type "${params.kl_loss_type}" is not known`);
  const kl = await losses.klLoss(estimator, {
    newLogProbs: data.new_logp,
    referenceLogProbs: data.ref_logp,
    mask,
    weights,
  });
  return {
    ...numbers,
    kl: kl.loss,
    loss: pg.loss + params.kl_loss_coef * kl.loss,
    grad: pg.gradient.map((row, i) => row.map((slope, t) => slope + params.kl_loss_coef * kl.gradient[i][t])),
  };
}

/** PPO-clip on given advantages. */
export async function clippedCase(losses, data, advantages, params, mask = data.mask, importanceWeights = undefined) {
  const batch = { ...surrogateBatch(data, advantages, params, mask), ...(importanceWeights && { importanceWeights }) };
  return { advantages, ...(await withKl(losses, losses.ppoClip(batch, clipOptions(params)), data, params, batch)) };
}

/** The group-relative advantages of a batch, by row and by token. */
export function grouped(data, params, rewards = data.reward) {
  const seq_advantages = learner.groupAdvantages(rewards, data.group, groupOptions(params));
  return { seq_advantages, advantages: broadcast(seq_advantages, data.mask) };
}

/** One row of steps as the ragged shape of a batch. */
export async function stepValueLoss(losses, { values, oldValues, returns }, valueClip, mask = values.map(() => 1)) {
  const weights = learner.aggregationWeights("token-mean", [mask], learner.batchDenominator("token-mean", [mask]));
  const batch = { values: [values], oldValues: [oldValues], returns: [returns], mask: [mask], weights };
  const { loss, gradient } = await losses.valueLoss(batch, { valueClip });
  return { loss, gradient: gradient[0] };
}
