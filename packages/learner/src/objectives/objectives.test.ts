import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { stepGae, tokenGae } from "../credit/gae.js";
import { type AggregationMode, aggregationWeights, batchDenominator, weightedSum } from "./aggregate.js";
import { distillationAdvantages } from "./distillation.js";
import { klEstimate, klLoss } from "./kl.js";
import { ppoClip } from "./ppo-clip.js";
import type { Ragged } from "./ragged.js";
import { whitenSteps, whitenTokens } from "./whiten.js";

// biome-ignore lint/suspicious/noExplicitAny: known-answer vectors of many shapes
const vectors: any = JSON.parse(readFileSync(new URL("./data/objectives.json", import.meta.url), "utf8"));
// biome-ignore lint/suspicious/noExplicitAny: as above
const caseOf = (id: string): any => vectors.cases.find((one: { id: string }) => one.id === id);
// biome-ignore lint/suspicious/noExplicitAny: as above
const unitOf = (id: string): any => vectors.units.find((one: { id: string }) => one.id === id);
const { main } = vectors.batches;
const mask: Ragged = main.mask;

/** Relative 1e-9, absolute 1e-12. */
function close(actual: unknown, expected: unknown): void {
  if (Array.isArray(expected)) {
    expect((actual as unknown[]).length).toBe(expected.length);
    for (const [i, one] of expected.entries()) close((actual as unknown[])[i], one);
    return;
  }
  const tolerance = 1e-12 + 1e-9 * Math.abs(expected as number);
  expect(Math.abs((actual as number) - (expected as number)), `${actual} ≠ ${expected}`).toBeLessThanOrEqual(tolerance);
}

const weightsOf = (mode: Exclude<AggregationMode, "constant">, of: Ragged = mask) =>
  aggregationWeights(mode, of, batchDenominator(mode, of));

/** Other numbers, and none at all, where the mask is 0. */
const poisoned = (numbers: Ragged, poison: number): Ragged =>
  numbers.map((tokens, row) => tokens.map((number, t) => (mask[row]![t] ? number : poison)));

describe("aggregation", () => {
  const { inputs, expected } = unitOf("aggregation");

  it.each(["token-mean", "seq-mean-token-sum", "seq-mean-token-mean"] as const)("%s has the known weights", (mode) => {
    const weights = weightsOf(mode, inputs.mask);
    close(weights, expected[mode].weights);
    close(weightedSum(weights, inputs.token_loss), expected[mode].loss);
  });

  it("by a constant is Dr. GRPO's, whichever number is chosen", () => {
    for (const [key, denominator] of [
      ["seq-mean-token-sum-norm:16", 16],
      ["dr-grpo:16", 64],
    ] as const) {
      const weights = aggregationWeights("constant", inputs.mask, denominator);
      close(weights, expected[key].weights);
      close(weightedSum(weights, inputs.token_loss), expected[key].loss);
    }
  });

  it("over micro-batches sums to that of the whole batch when the denominator is the whole batch's", () => {
    const denominator = batchDenominator("token-mean", inputs.mask);
    const parts = inputs.mask.map((_: unknown, row: number) =>
      weightedSum(aggregationWeights("token-mean", [inputs.mask[row]], denominator), [inputs.token_loss[row]]),
    );
    close(
      parts.reduce((a: number, b: number) => a + b, 0),
      expected["token-mean"].loss,
    );
  });

  it("of nothing is 0, and a bad denominator is refused", () => {
    expect(weightsOf("token-mean", [[0, 0]])).toEqual([[0, 0]]);
    expect(() => aggregationWeights("constant", [[1]], Number.NaN)).toThrow("denominator");
  });
});

describe("KL estimators", () => {
  it("have the known values and derivatives", () => {
    for (const { logp, ref, k1, k2, k3, k3_unclamped } of unitOf("kl_estimators").expected) {
      const d = logp - ref;
      for (const [name, [value, slope]] of [
        ["k1", k1],
        ["k2", k2],
      ] as const) {
        close(klEstimate(name, d).value, value);
        close(klEstimate(name, d).slope, slope);
      }
      close(klEstimate("k3", d).value, k3_unclamped);
      if (k3[0] === k3_unclamped) close(klEstimate("k3", d).slope, k3[1]);
    }
  });
});

describe("PPO clip", () => {
  const cases = [
    ["ppo/gae_token", "token-mean"],
    ["ppo/gae_token_no_dual_clip", "token-mean"],
    ["grpo/paper", "seq-mean-token-mean"],
    ["grpo/verl", "token-mean"],
    ["dr_grpo/trl", "constant"],
    ["opd/openclaw_hindsight", "seq-mean-token-mean"],
    ["turn_gae/ppo", "token-mean"],
  ] as const;

  const run = (id: string, mode: AggregationMode, poison?: number) => {
    const { params, expected, batch } = caseOf(id);
    const data = vectors.batches[batch];
    const of = data.mask as Ragged;
    const at = (numbers: Ragged) => (poison === undefined ? numbers : poisoned(numbers, poison));
    const weights =
      mode === "constant" ? aggregationWeights(mode, of, of.length * params.horizon) : weightsOf(mode, of);
    const policy = ppoClip(
      {
        newLogProbs: at(data.new_logp),
        oldLogProbs: at(data.old_logp),
        advantages: at(expected.advantages),
        mask: of,
        weights,
      },
      {
        clipLow: params.clip_low,
        clipHigh: params.clip_high,
        ...(params.dual_clip_c && { dualClip: params.dual_clip_c }),
      },
    );
    const kl =
      params.kl_loss_type &&
      klLoss("k3", { newLogProbs: at(data.new_logp), referenceLogProbs: at(data.ref_logp), mask: of, weights });
    return { policy, kl, coefficient: params.kl_loss_coef ?? 0, expected };
  };

  it.each(cases)("has the known loss and gradient: %s", (id, mode) => {
    const { policy, kl, coefficient, expected } = run(id, mode);
    close(policy.tokenLoss, expected.token_loss);
    close(policy.loss, expected.pg_loss);
    if (kl) close(kl.loss, expected.kl);
    close(policy.loss + coefficient * (kl?.loss ?? 0), expected.loss);
    const gradient = policy.gradient.map((tokens, row) =>
      tokens.map((slope, t) => slope + coefficient * (kl ? kl.gradient[row]![t]! : 0)),
    );
    close(gradient, expected.grad);
  });

  it.each([1e9, -1e9, Number.NaN, Number.POSITIVE_INFINITY])("is untouched by %s at masked tokens", (poison) => {
    for (const [id, mode] of cases.filter(([id]) => caseOf(id).batch === "main")) {
      const plain = run(id, mode);
      const disturbed = run(id, mode, poison);
      expect(disturbed.policy).toEqual(plain.policy);
      expect(disturbed.kl).toEqual(plain.kl);
    }
  });

  it("follows the equation on one token each", () => {
    const one = (logRatio: number, advantage: number, dualClip?: number) =>
      ppoClip(
        { newLogProbs: [[logRatio]], oldLogProbs: [[0]], advantages: [[advantage]], mask: [[1]], weights: [[1]] },
        { clipLow: 0.2, clipHigh: 0.28, ...(dualClip && { dualClip }) },
      );
    close(one(Math.log(1.1), 2).loss, -2.2); // inside: −2 · 1.1
    close(one(Math.log(1.1), 2).gradient, [[-2.2]]);
    close(one(Math.log(1.5), 2).loss, -2.56); // −2 · 1.28
    expect(one(Math.log(1.5), 2)).toMatchObject({ gradient: [[0]], clipFraction: 1 });
    close(one(Math.log(5), -2).loss, 10); // −(−2) · 5
    close(one(Math.log(5), -2, 3).loss, 6); // −3 · (−2)
    expect(one(Math.log(5), -2, 3)).toMatchObject({ gradient: [[0]], clipFraction: 1 });
    expect(one(Math.log(1.5), 0)).toMatchObject({ loss: 0, clipFraction: 0 });
    expect(() => one(0, 1, 0.5)).toThrow("dualClip");
  });

  it("has the gradient of central differences", () => {
    const { expected, params } = caseOf("ppo/gae_token");
    const weights = weightsOf("token-mean");
    const at = (newLogProbs: Ragged) =>
      ppoClip(
        { newLogProbs, oldLogProbs: main.old_logp, advantages: expected.advantages, mask, weights },
        { clipLow: params.clip_low, clipHigh: params.clip_high, dualClip: params.dual_clip_c },
      );
    const { gradient } = at(main.new_logp);
    for (const [row, tokens] of mask.entries())
      for (const t of tokens.keys()) {
        const moved = (h: number) =>
          (main.new_logp as number[][]).map((ids, i) => ids.map((x, j) => (i === row && j === t ? x + h : x)));
        const slope = (at(moved(1e-5)).loss - at(moved(-1e-5)).loss) / 2e-5;
        expect(Math.abs(slope - gradient[row]![t]!)).toBeLessThan(1e-6);
      }
  });

  it("refuses arrays of another shape", () => {
    const batch = { newLogProbs: [[0]], oldLogProbs: [[0]], advantages: [[1, 2]], mask: [[1]], weights: [[1]] };
    expect(() => ppoClip(batch, { clipLow: 0.2, clipHigh: 0.2 })).toThrow("advantages has not the shape");
  });
});

describe("advantages by the known answers", () => {
  it("of tokens: GAE that skips masked tokens, then whitening", () => {
    const { inputs, expected } = unitOf("gae_masked_skip");
    const { gamma, lam } = { gamma: inputs.gamma, lam: inputs.lam };
    close(tokenGae(inputs.reward[0], inputs.value[0], inputs.mask[0], { gamma, lambda: lam }), expected.advantages[0]);
    const ppo = caseOf("ppo/gae_token");
    const raw = mask.map((tokens, row) =>
      tokenGae(ppo.expected.token_rewards[row], main.value_old[row], tokens, {
        gamma: ppo.params.gamma,
        lambda: ppo.params.lam,
      }),
    );
    close(raw, ppo.expected.raw_advantages);
    close(whitenTokens(raw, mask), ppo.expected.advantages);
  });

  it("of tokens: whitening leaves masked tokens out and at 0", () => {
    const { inputs, expected } = unitOf("masked_whiten");
    close(whitenTokens(inputs.x, inputs.mask), expected);
    expect(whitenTokens([[5]], [[1]])).toEqual([[0]]);
  });

  it.each([
    ["steppo/wide_clip", "raw_step_advantages"],
    ["turn_gae/ppo", "raw_turn_advantages"],
  ])("of steps: %s", (id, key) => {
    const { params, expected, batch } = caseOf(id);
    const data = vectors.batches[batch];
    const raw = new Array<number>(data.traj.length);
    for (const trajectory of new Set<string>(data.traj)) {
      const rows = [...data.traj.keys()]
        .filter((row) => data.traj[row] === trajectory)
        .sort((a, b) => data.step[a] - data.step[b]);
      const credit = stepGae(
        rows.map((row) => data.step_reward[row]),
        rows.map((row) => data.value[row]),
        { gamma: params.gamma, lambda: params.lam },
      );
      for (const [k, row] of rows.entries()) raw[row] = credit[k]!;
    }
    close(raw, expected[key]);
    if (expected.step_advantages) close(whitenSteps(raw), expected.step_advantages);
  });

  it("of hindsight: teacher less old, clipped, and 0 at masked tokens", () => {
    const { expected } = caseOf("opd/openclaw_hindsight");
    const batch = { teacherLogProbs: main.teacher_logp, oldLogProbs: main.old_logp, mask };
    close(distillationAdvantages(batch, Number.POSITIVE_INFINITY), expected.advantages);
    const clipped = distillationAdvantages(batch, 0.1);
    expect(Math.max(...clipped.flat().map(Math.abs))).toBe(0.1);
    // log π_teacher = −.2, log π_old = −1.5: 1.3, clipped to 1
    const one = { teacherLogProbs: [[-0.2, 9]], oldLogProbs: [[-1.5, -9]], mask: [[1, 0]] };
    expect(distillationAdvantages(one, 1)).toEqual([[1, 0]]);
  });
});
