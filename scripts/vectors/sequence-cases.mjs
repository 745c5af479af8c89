// Cases over whole sequences: from REINFORCE to distillation.
import * as learner from "@afterstate/learner";
import {
  broadcast,
  clipOptions,
  clippedCase,
  grouped,
  groupOptions,
  surrogateBatch,
  weightsOf,
  withKl,
} from "./case-parts.mjs";

const tisOptions = (level, threshold) => ({ level, upper: threshold, outside: "clamp" });

async function reinforce({ data, params, losses }) {
  const byTurn = /segment/.test(params.discount ?? "");
  const advantages = data.mask.map((mask, row) =>
    byTurn
      ? learner.turnReturns(data.token_reward[row], mask, params.gamma)
      : learner.tokenReturns(data.token_reward[row], mask, { gamma: params.gamma, masked: "skip" }),
  );
  const importanceWeights =
    params.rollout_is &&
    learner.offPolicyWeights(
      { oldLogProbs: data.new_logp, behaviourLogProbs: data.rollout_logp, mask: data.mask },
      tisOptions(params.rollout_is, params.rollout_is_threshold),
    );
  const batch = { ...surrogateBatch(data, advantages, params), ...(importanceWeights && { importanceWeights }) };
  const numbers = await withKl(losses, losses.reinforce(batch), data, params, batch);
  return { advantages, ...(importanceWeights && { is_weights: importanceWeights }), ...numbers };
}

async function rloo({ data, params, losses }) {
  const singleton = { singleton: params.singleton };
  if (params.ratio !== undefined) {
    const seq_kl = learner.sequenceLogRatios(data.old_logp, data.ref_logp, data.mask).map(({ sum }) => sum);
    const shaped_reward = data.reward.map((reward, i) => reward - params.beta * seq_kl[i]);
    const seq_advantages = learner.leaveOneOut(shaped_reward, data.group, singleton);
    const batch = { ...surrogateBatch(data, [], params), advantages: seq_advantages };
    const { loss, gradient } = await losses.sequenceClip(batch, { ...clipOptions(params), ratio: "product" });
    const seq_ratio = learner
      .sequenceLogRatios(data.new_logp, data.old_logp, data.mask)
      .map(({ sum }) => Math.exp(sum));
    return { seq_kl, shaped_reward, seq_advantages, seq_ratio, loss, grad: gradient };
  }
  const seq_advantages = learner.leaveOneOut(data.reward, data.group, singleton);
  const advantages = broadcast(seq_advantages, data.mask);
  if (params.clip_low !== undefined)
    return { seq_advantages, ...(await clippedCase(losses, data, advantages, params)) };
  const batch = surrogateBatch(data, advantages, params);
  return { seq_advantages, advantages, ...(await withKl(losses, losses.reinforce(batch), data, params, batch)) };
}

async function ppo({ data, params, losses }) {
  const { mask } = data;
  const gae = { gamma: params.gamma, lambda: params.lam };
  const token_rewards = learner.mapMasked(
    mask,
    (i, t) =>
      data.token_reward[i][t] -
      (params.kl_in_reward_coef ?? 0) * learner.klEstimate("k1", data.old_logp[i][t] - data.ref_logp[i][t]).value,
  );
  const raw_advantages = mask.map((row, i) => learner.tokenGae(token_rewards[i], data.value_old[i], row, gae));
  const returns = learner.mapMasked(mask, (i, t) => raw_advantages[i][t] + data.value_old[i][t]);
  const numbers = await clippedCase(losses, data, learner.whitenTokens(raw_advantages, mask), params);
  if (params.value_clip === undefined) return { token_rewards, raw_advantages, returns, ...numbers };
  const sides = { values: data.value_new, oldValues: data.value_old, returns, mask, weights: weightsOf(params, mask) };
  const options = { valueClip: params.value_clip };
  const value = await losses.valueLoss(sides, options);
  const tokens = learner.batchDenominator("token-mean", mask);
  return {
    token_rewards,
    raw_advantages,
    returns,
    value_loss: value.loss,
    value_grad: value.gradient,
    value_clip_active: Math.round(learner.valueLoss(sides, options).clipFraction * tokens),
    ...numbers,
  };
}

async function groupRelative({ data, params, losses }) {
  const { seq_advantages, advantages } = grouped(data, params);
  return { seq_advantages, ...(await clippedCase(losses, data, advantages, params)) };
}

async function dapo({ data, params, losses }) {
  const { max_resp_len, buffer_len, penalty_factor, length } = params.overlong;
  const lengths = data.mask.map((tokens) =>
    /^all/.test(length ?? "") ? tokens.length : tokens.filter(Boolean).length,
  );
  const overlong = { maxLength: max_resp_len, bufferLength: buffer_len, factor: penalty_factor, beyond: "grow" };
  const overlong_penalty = lengths.map((tokens) => learner.overlongPenalty(tokens, overlong));
  const shaped_reward = data.reward.map((reward, i) => reward + overlong_penalty[i]);
  const kept_groups = learner.informativeGroups(data.reward, data.group, { singleton: "keep" });
  const kept = data.group.map((group) => kept_groups.includes(group));
  const all = learner.groupAdvantages(shaped_reward, data.group, groupOptions(params));
  const seq_advantages = all.map((advantage, row) => (kept[row] ? advantage : 0));
  const mask = learner.mapMasked(data.mask, (row) => (kept[row] ? 1 : 0));
  const numbers = await clippedCase(losses, data, broadcast(seq_advantages, mask), params, mask);
  return { lengths, overlong_penalty, shaped_reward, kept_groups, seq_advantages, ...numbers };
}

const sequenceRatios = (data) =>
  learner.sequenceLogRatios(data.new_logp, data.old_logp, data.mask).map(({ mean }) => Math.exp(mean));

async function gspo({ data, params, losses }) {
  const { seq_advantages, advantages } = grouped(data, params);
  const batch = { ...surrogateBatch(data, advantages, params), advantages: seq_advantages };
  const { loss, gradient } = await losses.sequenceClip(batch, { ...clipOptions(params), ratio: "geometric-mean" });
  return { seq_ratio: sequenceRatios(data), seq_advantages, advantages, loss, grad: gradient };
}

async function gspoToken({ id, data, params, losses }) {
  const { seq_advantages } = grouped(data, params);
  // "turn" in a case's name: the k-th turn of a sequence has (−½)^k of its advantage.
  const share = (row, t) => (/turn/.test(id) ? (-0.5) ** data.turn[row][t] : 1);
  const advantages = learner.mapMasked(data.mask, (row, t) => seq_advantages[row] * share(row, t));
  const batch = surrogateBatch(data, advantages, params);
  const numbers = await withKl(losses, losses.gspoToken(batch, clipOptions(params)), data, params, batch);
  return { seq_ratio: sequenceRatios(data), seq_advantages, advantages, ...numbers };
}

async function sapo({ data, params, losses }) {
  const { seq_advantages, advantages } = grouped(data, params);
  const batch = surrogateBatch(data, advantages, params);
  const options = { tauPositive: params.tau_pos, tauNegative: params.tau_neg };
  const { gates } = learner.sapo(batch, options);
  const numbers = await withKl(losses, losses.sapo(batch, options), data, params, batch);
  return { seq_advantages, gates, advantages, ...numbers };
}

async function cispo({ data, params, losses }) {
  const { seq_advantages, advantages } = grouped(data, params);
  const batch = surrogateBatch(data, advantages, params);
  const { clippedRatios } = learner.cispo(batch, clipOptions(params));
  const numbers = await withKl(losses, losses.cispo(batch, clipOptions(params)), data, params, batch);
  return { seq_advantages, clipped_ratio: clippedRatios, advantages, ...numbers };
}

async function retrievedTokenMask({ data, params, losses }) {
  const mask = params.state_masking === false ? data.mask.map((tokens) => tokens.map(() => 1)) : data.mask;
  return clippedCase(losses, data, broadcast(grouped(data, params).seq_advantages, mask), params, mask);
}

const behaviour = (data) => ({ oldLogProbs: data.old_logp, behaviourLogProbs: data.rollout_logp, mask: data.mask });

async function decoupledPpo({ data, params, losses }) {
  const { level, action, upper, lower } = params.behave_imp_weight;
  const weights = learner.offPolicyWeights(behaviour(data), {
    level: level === "token" ? "token" : "geometric-mean",
    ...(upper !== null && upper !== undefined && { upper }),
    ...(lower !== null && lower !== undefined && { lower }),
    outside: action === "mask" ? "drop" : "clamp",
  });
  const { advantages } = grouped(data, params);
  return { behave_imp_weight: weights, ...(await clippedCase(losses, data, advantages, params, data.mask, weights)) };
}

async function tis({ data, params, losses }) {
  const level = (params.rollout_is ?? params.mode).split("_")[0];
  const options = params.rollout_is
    ? { ...tisOptions(level, params.threshold), normalise: params.batch_normalize === true }
    : {
        level,
        upper: params.clip_max,
        ...(typeof params.clip_min === "number" && { lower: params.clip_min }),
        outside: params.mode.endsWith("_mask") ? "drop" : "clamp",
      };
  const weights = learner.offPolicyWeights(behaviour(data), options);
  const { advantages } = grouped(data, params);
  return { is_weights: weights, ...(await clippedCase(losses, data, advantages, params, data.mask, weights)) };
}

async function fspo({ data, params, inputs, losses }) {
  const shaped_reward =
    inputs.sentences && !/only/.test(params.reward ?? "")
      ? data.reward.map((reward, i) =>
          learner.factualityReward(
            reward,
            inputs.sentences[i].map(([, label]) => label),
          ),
        )
      : data.reward;
  const options = groupOptions(params);
  const rows = { rewards: shaped_reward, groups: data.group, factuality: inputs.factuality, mask: data.mask };
  const seq_advantages = learner.groupAdvantages(shaped_reward, data.group, options);
  return { shaped_reward, seq_advantages, ...(await clippedCase(losses, data, learner.fspo(rows, options), params)) };
}

async function rlPlus({ data, params, losses }) {
  const { seq_advantages, advantages } = grouped(data, params);
  const batch = { ...surrogateBatch(data, advantages, params), external: data.external.map(Boolean) };
  const options = {
    explorationGamma: params.gamma_expl,
    uniformProbability: Number(/[\d.]+$/.exec(params.pi_omega ?? "")?.[0] ?? 1),
    ...(params.clip_low !== undefined && { clip: clipOptions(params) }),
  };
  const { mixtureRatios, explorationWeights } = learner.rlPlus(batch, options);
  const numbers = await withKl(losses, losses.rlPlus(batch, options), data, params, batch);
  return { seq_advantages, mis_ratio: mixtureRatios, exploration_weight: explorationWeights, advantages, ...numbers };
}

async function dpo({ data, params, losses }) {
  const side = (name) => ({
    newLogProbs: data[`${name}_new`],
    referenceLogProbs: data[`${name}_ref`],
    mask: data[`${name}_mask`],
  });
  const pairs = { chosen: side("chosen"), rejected: side("rejected") };
  const options = {
    beta: params.beta,
    denominator: data.chosen_mask.length,
    labelSmoothing: params.label_smoothing ?? 0,
  };
  const ipo = params.loss_type === "ipo";
  const { margins, chosenRewards, rejectedRewards } = (ipo ? learner.ipo : learner.dpo)(pairs, options);
  const { loss, chosenGradient, rejectedGradient } = await (ipo ? losses.ipo : losses.dpo)(pairs, options);
  return {
    margins,
    implicit_reward_chosen: chosenRewards,
    implicit_reward_rejected: rejectedRewards,
    loss,
    grad: [...chosenGradient, ...rejectedGradient],
  };
}

async function opd({ data, params, inputs, losses }) {
  if (params.K !== undefined) {
    const { student_topk_logp: studentLogProbs, teacher_topk_logp: teacherLogProbs, mask } = inputs;
    const [weights] = weightsOf(params, [mask]);
    const batch = { studentLogProbs, teacherLogProbs, mask, weights };
    const { loss, gradient } = await losses.topKDistillation(batch);
    return { token_kl: learner.topKDistillation(batch).tokenKl, loss, grad: gradient };
  }
  const sides = { teacherLogProbs: data.teacher_logp, oldLogProbs: data.old_logp, mask: data.mask };
  const distillation = learner.distillationAdvantages(sides, Number.POSITIVE_INFINITY);
  const reverse_kl = distillation.map((row) => row.map((delta) => 0 - delta));
  if (params.kl_penalty_coef !== undefined) {
    const gamma = params.kl_discount_factor;
    const masked = /every/.test(params.discount ?? "every") ? "discount" : "skip";
    const advantages = distillation.map((row, i) =>
      learner.tokenReturns(row, data.mask[i], { gamma, masked }).map((sum) => params.kl_penalty_coef * sum),
    );
    const batch = surrogateBatch(data, advantages, params);
    const numbers = await withKl(losses, losses.importanceSampling(batch), data, params, batch);
    return { reverse_kl, advantages, ...numbers };
  }
  if (params.w_rl === undefined) return { reverse_kl, ...(await clippedCase(losses, data, distillation, params)) };
  const { seq_advantages, advantages } = grouped(data, params);
  const combined = learner.combinedAdvantages(
    { advantages, distillation, mask: data.mask },
    data.mask.map(() => true),
    { rewardWeight: params.w_rl, distillationWeight: params.w_opd },
  );
  return { reverse_kl, seq_advantages, ...(await clippedCase(losses, data, combined, params)) };
}

/** By the name of a case's algorithm. Each gets { id, data, params, inputs, losses } and returns numbers under the names of `expected`. */
export const SEQUENCE_CASES = {
  reinforce,
  rloo,
  ppo,
  grpo: groupRelative,
  dr_grpo: ({ params, ...rest }) => groupRelative({ ...rest, params: { std: null, ...params } }),
  dapo,
  gspo,
  gspo_token: gspoToken,
  sapo,
  cispo,
  retrieved_token_mask: retrievedTokenMask,
  decoupled_ppo: decoupledPpo,
  tis,
  fspo,
  rl_plus: rlPlus,
  dpo,
  opd,
};
