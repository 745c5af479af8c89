// The units of a file: tables of single formulas.
import * as learner from "@afterstate/learner";
import { KL_ESTIMATORS } from "./case-parts.mjs";

async function klEstimators({ inputs, losses }) {
  const names = { ...KL_ESTIMATORS, k1_plus: "k1+", k3_plus: "k3+" };
  return Promise.all(
    inputs.map(async ([logp, ref]) => {
      const numbers = { logp, ref };
      for (const [name, estimator] of Object.entries(names)) {
        const batch = { newLogProbs: [[logp]], referenceLogProbs: [[ref]], mask: [[1]], weights: [[1]] };
        const { loss, gradient } = await losses.klLoss(estimator, batch);
        numbers[name] = name === "k3_unclamped" ? loss : [loss, gradient[0][0]];
      }
      return numbers;
    }),
  );
}

function aggregation({ inputs, expected }) {
  const { token_loss, mask } = inputs;
  const longest = Math.max(...mask.map(({ length }) => length));
  return Object.fromEntries(
    Object.keys(expected).map((key) => {
      const [mode, number] = key.split(":");
      const weights =
        mode === "dr-grpo"
          ? learner.aggregationWeights("constant", mask, mask.length * Number(number))
          : mode === "seq-mean-token-sum-norm"
            ? learner.aggregationWeights("constant", mask, Number(number ?? longest))
            : learner.aggregationWeights(mode, mask, learner.batchDenominator(mode, mask));
      return [key, { loss: learner.weightedSum(weights, token_loss), weights }];
    }),
  );
}

function groupAdvantages({ inputs: { reward, group } }) {
  const by = (options) =>
    learner.groupAdvantages(reward, group, { ...learner.GROUP_DEFAULTS, singleton: "raw", ...options });
  return {
    "grpo_ddof1_eps1e-6": by({}),
    "grpo_trl_ddof1_eps1e-4_singleton_zero": by({ epsilon: 1e-4, singleton: "zero" }),
    "grpo_ddof0_eps1e-6": by({ degreesOfFreedom: 0 }),
    dr_grpo_no_std: by({ scale: "none" }),
    rloo_singleton_raw: learner.leaveOneOut(reward, group, { singleton: "raw" }),
    rloo_singleton_zero: learner.leaveOneOut(reward, group, { singleton: "zero" }),
  };
}

function overlong({ inputs, expected }) {
  const options = { maxLength: inputs.max_resp_len, bufferLength: inputs.buffer_len, factor: inputs.penalty_factor };
  return expected.map(({ length }) => ({
    length,
    verl: learner.overlongPenalty(length, { ...options, beyond: "grow" }),
    paper: learner.overlongPenalty(length, options),
  }));
}

function dynamicSampling({ inputs }) {
  const rewards = Object.values(inputs).flat();
  const groups = Object.entries(inputs).flatMap(([name, members]) => members.map(() => name));
  return {
    kept_verl: learner.informativeGroups(rewards, groups, { singleton: "keep" }),
    kept_strict: learner.informativeGroups(rewards, groups),
    kept_slime: learner.informativeGroups(rewards, groups, { leastDeviation: 1e-6 }),
  };
}

function gaeMaskedSkip({ inputs: { reward, value, mask, gamma, lam } }) {
  const advantages = mask.map((row, i) => learner.tokenGae(reward[i], value[i], row, { gamma, lambda: lam }));
  return { advantages, returns: learner.mapMasked(mask, (i, t) => advantages[i][t] + value[i][t]) };
}

function reinforcePlusPlus({ inputs, batches }) {
  const { token_reward, mask } = batches[inputs.batch];
  const returns = (masked) =>
    mask.map((row, i) => learner.tokenReturns(token_reward[i], row, { gamma: inputs.gamma, masked }));
  return {
    verl_reset_at_mask: returns("reset"),
    skip_masked: returns("skip"),
    verl_whitened: learner.whitenTokens(returns("reset"), mask),
    skip_whitened: learner.whitenTokens(returns("skip"), mask),
  };
}

function rejectionMasks({ inputs, batches }) {
  const { old_logp, rollout_logp, mask } = batches[inputs.batch];
  const sides = { oldLogProbs: old_logp, behaviourLogProbs: rollout_logp, mask };
  const between = ([lower, upper]) => ({ lower, upper });
  const byRow = (kept) => kept.map((row) => Number(row.includes(1)));
  const geometric = { level: "geometric-mean", ...between(inputs.geo_bounds) };
  const rows = learner.sequenceLogRatios(old_logp, rollout_logp, mask);
  return {
    seq_mean_log_ratio: rows.map(({ mean }) => mean),
    seq_sum_log_ratio: rows.map(({ sum }) => sum),
    geo_keep: byRow(learner.rejectionMask(sides, geometric)),
    // Bounds of 1/w: the same with the policies in each other's place.
    geo_keep_verl_seq_mean_k1: byRow(
      learner.rejectionMask({ oldLogProbs: rollout_logp, behaviourLogProbs: old_logp, mask }, geometric),
    ),
    seq_keep: byRow(learner.rejectionMask(sides, { level: "sequence", ...between(inputs.bounds) })),
    token_keep: learner.rejectionMask(sides, { level: "token", ...between(inputs.bounds) }),
  };
}

function agentOmitReward({ inputs: { mu, rows } }) {
  const rewards = rows.map(({ task, thought, obs, total }) =>
    learner.omissionReward(
      { taskReward: task, omittedThoughtTokens: thought, omittedObservationTokens: obs, totalTokens: total },
      { mu },
    ),
  );
  return { omission_reward: rewards.map(({ omission }) => omission), reward: rewards.map(({ reward }) => reward) };
}

/** By the unit's id. Each gets { inputs, expected, batches, losses }; of `expected` only which rows are asked for. */
export const UNITS = {
  kl_estimators: klEstimators,
  aggregation,
  masked_whiten: ({ inputs }) => learner.whitenTokens(inputs.x, inputs.mask),
  group_advantages: groupAdvantages,
  dapo_overlong_penalty: overlong,
  dapo_dynamic_sampling_filter: dynamicSampling,
  gae_masked_skip: gaeMaskedSkip,
  reinforce_plus_plus_returns: reinforcePlusPlus,
  rejection_masks: rejectionMasks,
  agent_omit_reward: agentOmitReward,
};
