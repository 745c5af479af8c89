// Cases whose rows are steps of trajectories: StepPO, turn GAE, GiGPO, HiPER, Agent-Omit.
import * as learner from "@afterstate/learner";
import {
  broadcast,
  clipOptions,
  clippedCase,
  groupOptions,
  stepValueLoss,
  surrogateBatch,
  withKl,
} from "./case-parts.mjs";

const stepRows = (data) => ({ trajectories: data.traj, steps: data.step });
const plus = (a, b) => a.map((x, i) => x + b[i]);

const rawStepAdvantages = (data, params) =>
  learner.stepRowGae(
    { ...stepRows(data), rewards: data.step_reward, values: data.value },
    { gamma: params.gamma, lambda: params.lam },
  );

async function steppo({ data, params, losses }) {
  const raw = rawStepAdvantages(data, params);
  const step_returns = plus(raw, data.value);
  const step_advantages = learner.whitenSteps(raw);
  const batch = { ...surrogateBatch(data, [], { loss_agg_mode: "seq-mean-token-mean" }), advantages: step_advantages };
  if (/trajector/.test(params.loss_agg_mode)) {
    const steps = new Map([...learner.rowsByTrajectory(stepRows(data))].map(([name, rows]) => [name, rows.length]));
    batch.weights = learner.rowMeanWeights(
      data.mask,
      data.traj.map((name) => 1 / (steps.size * steps.get(name))),
    );
  }
  const policy = losses.sequenceClip(batch, { ...clipOptions(params), ratio: "geometric-mean" });
  const { loss, grad } = await withKl(losses, policy, data, params, batch);
  const value = await stepValueLoss(
    losses,
    { values: data.value_new, oldValues: data.value, returns: step_returns },
    params.value_clip,
  );
  return {
    seq_ratio: learner.sequenceLogRatios(data.new_logp, data.old_logp, data.mask).map(({ mean }) => Math.exp(mean)),
    seq_advantages: step_advantages,
    advantages: broadcast(step_advantages, data.mask),
    raw_step_advantages: raw,
    step_returns,
    step_advantages,
    value_loss: value.loss,
    value_grad: value.gradient,
    loss,
    grad,
  };
}

async function turnGae({ data, params, inputs, losses }) {
  if (inputs?.token_values !== undefined) {
    const raw_advantages = learner.tokenGaeAcrossSteps(
      { ...stepRows(data), rewards: data.step_reward, values: inputs.token_values, mask: data.mask },
      { gamma: params.gamma, lambda: params.lam },
    );
    const returns = learner.mapMasked(data.mask, (row, t) => raw_advantages[row][t] + inputs.token_values[row][t]);
    const advantages = learner.whitenTokens(raw_advantages, data.mask);
    return { raw_advantages, returns, ...(await clippedCase(losses, data, advantages, params)) };
  }
  const raw = rawStepAdvantages(data, params);
  const [turn_advantages] = learner.whitenTokens([raw], [raw.map(() => 1)]);
  const numbers = await clippedCase(losses, data, broadcast(turn_advantages, data.mask), params);
  return { raw_turn_advantages: raw, turn_returns: plus(raw, data.value), turn_advantages, ...numbers };
}

async function gigpo({ data, params, losses }) {
  const credit = learner.gigpo(
    { ...stepRows(data), prompts: data.prompt, anchors: data.anchor, rewards: data.step_reward },
    {
      gamma: params.gamma,
      stepWeight: params.step_advantage_w,
      scale: params.mode === "mean_norm" ? "none" : "std",
      epsilon: params.eps,
      episodes: params.episode_stats === "trajectory" ? "trajectory" : "step-row",
      singleton: "raw",
    },
  );
  return {
    episode_return: credit.episodeReturns,
    step_return: credit.stepReturns,
    step_group: data.prompt.map((prompt, row) => `${prompt}/${data.anchor[row]}`),
    episode_advantages: credit.episodeAdvantages,
    step_advantages: credit.stepAdvantages,
    row_advantages: credit.advantages,
    ...(await clippedCase(losses, data, broadcast(credit.advantages, data.mask), params)),
  };
}

const ROLES = { W: "switch", G: "subgoal", A: "action", ".": "other" };

async function hiper({ data, params, losses }) {
  const rows = { ...stepRows(data), switches: data.switch.map(Boolean), terminated: data.done };
  const shaped_step_reward = learner.hiperRewards(
    { ...rows, rewards: data.step_reward, valid: data.action_valid.map(Boolean) },
    { keepPenalty: params.keep_penalty, invalidPenalty: params.invalid_action_penalty_coef },
  );
  const values = { low: data.v_low, high: data.v_high, term: data.v_term };
  const credit = learner.hiper(
    { ...rows, rewards: shaped_step_reward, values },
    {
      gamma: params.gamma,
      turnLambda: params.lam_turn,
      segmentLambda: params.lam_seg,
      bootstrapTruncated: params.bootstrap_truncated,
    },
  );
  const boundary = credit.boundary.map(Number);
  const everywhere = boundary.map(() => 1);
  const numbers = { value_loss: {}, value_grad: {} };
  for (const head of ["low", "high", "term"]) {
    const trained = head === "high" ? boundary : everywhere;
    const returns = credit[head].map((advantage, row) => (trained[row] ? advantage + values[head][row] : 0));
    const sides = { values: data[`v_${head}_new`], oldValues: values[head], returns };
    const value = await stepValueLoss(losses, sides, params.value_clip, trained);
    numbers[`adv_${head}`] = credit[head];
    numbers[`ret_${head}`] = returns;
    numbers.value_loss[head] = value.loss;
    numbers.value_grad[head] = value.gradient;
  }
  const roles = data.roles.map((row) => [...row].map((letter) => ROLES[letter]));
  const tokens = learner.hiperTokens(credit, roles, data.mask);
  for (const head of ["low", "high", "term"]) numbers[`adv_${head}_norm`] = tokens.normalised[head];
  const segments = Object.fromEntries(
    [...learner.rowsByTrajectory(rows)].map(([name, inOrder]) => {
      const starts = inOrder.flatMap((row, k) => (boundary[row] ? [k] : []));
      return [name, starts.map((start, i) => [start, (starts[i + 1] ?? inOrder.length) - 1])];
    }),
  );
  return {
    ...numbers,
    shaped_step_reward,
    boundary,
    segments,
    train_mask: tokens.mask,
    ...(await clippedCase(losses, data, tokens.advantages, params, tokens.mask)),
  };
}

async function agentOmit({ data, params, losses }) {
  const { full, partial } = data;
  const rewards = full.task_reward.map((taskReward, i) =>
    learner.omissionReward(
      {
        taskReward,
        omittedThoughtTokens: full.omitted_thought_tokens[i],
        omittedObservationTokens: full.omitted_obs_tokens[i],
        totalTokens: full.total_tokens[i],
      },
      { mu: params.mu },
    ),
  );
  const credit = learner.omissionCredit(
    full.prompt.map((prompt, i) => ({ prompt, reward: rewards[i].reward })),
    partial.parent.map((parent, j) => ({ parent, taskReward: partial.task_reward[j] })),
    groupOptions(params),
  );
  const joined = (key) => [...full[key], ...partial[key]];
  const rows = { new_logp: joined("new_logp"), old_logp: joined("old_logp"), ref_logp: joined("ref_logp") };
  const mask = joined("mask");
  const row_weight = [...credit.fullWeights, ...credit.partialWeights];
  const advantages = broadcast([...credit.fullAdvantages, ...credit.partialAdvantages], mask);
  const weights = learner.rowMeanWeights(mask, row_weight);
  const batch = { newLogProbs: rows.new_logp, oldLogProbs: rows.old_logp, advantages, mask, weights };
  return {
    omission_reward: rewards.map(({ omission }) => omission),
    full_reward: rewards.map(({ reward }) => reward),
    full_advantages: credit.fullAdvantages,
    partial_advantages: credit.partialAdvantages,
    row_weight,
    advantages,
    ...(await withKl(losses, losses.ppoClip(batch, clipOptions(params)), rows, params, batch)),
  };
}

/** By the name of a case's algorithm, as SEQUENCE_CASES. */
export const STEP_CASES = { steppo, turn_gae: turnGae, gigpo, hiper, agent_omit: agentOmit };
