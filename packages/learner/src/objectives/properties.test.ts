import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { aggregationWeights, batchDenominator } from "./aggregate.js";
import { cispo } from "./cispo.js";
import { klLoss } from "./kl.js";
import { offPolicyWeights, rejectionMask } from "./off-policy.js";
import { ppoClip } from "./ppo-clip.js";
import { dpo, ipo } from "./preference.js";
import type { LossAndGradient, Ragged } from "./ragged.js";
import { importanceSampling, reinforce } from "./reinforce.js";
import { rlPlus } from "./rl-plus.js";
import { sapo } from "./sapo.js";
import { gspoToken, sequenceClip } from "./sequence-clip.js";
import { topKDistillation } from "./top-k-distillation.js";
import { valueLoss } from "./value-loss.js";

const CLIP = { clipLow: 0.2, clipHigh: 0.28 };

/** A batch with every array that an objective reads. [row][token] */
interface Batch {
  readonly mask: number[][];
  readonly newLogProbs: number[][];
  readonly oldLogProbs: number[][];
  readonly referenceLogProbs: number[][];
  readonly behaviourLogProbs: number[][];
  readonly advantages: number[][];
}

/** Every objective whose gradient is that of its value. */
const OBJECTIVES: Readonly<Record<string, (batch: Batch, weights: Ragged) => LossAndGradient>> = {
  reinforce: (batch, weights) => reinforce({ ...batch, weights }),
  "importance sampling": (batch, weights) => importanceSampling({ ...batch, weights }),
  ppo: (batch, weights) => ppoClip({ ...batch, weights }, CLIP),
  "ppo with dual clip": (batch, weights) => ppoClip({ ...batch, weights }, { ...CLIP, dualClip: 1.5 }),
  "decoupled ppo": (batch, weights) =>
    ppoClip(
      { ...batch, weights, importanceWeights: offPolicyWeights(batch, { level: "token", upper: 2, outside: "drop" }) },
      CLIP,
    ),
  sapo: (batch, weights) => sapo({ ...batch, weights }, { tauPositive: 1, tauNegative: 1.05 }),
  "sequence clip": (batch, weights) =>
    sequenceClip(
      { ...batch, weights, advantages: batch.mask.map((_, row) => (row % 2 === 0 ? 0.7 : -1.1)) },
      { ...CLIP, ratio: "geometric-mean" },
    ),
  "product clip": (batch, weights) =>
    sequenceClip(
      { ...batch, weights, advantages: batch.mask.map((_, row) => (row % 2 === 0 ? 0.7 : -1.1)) },
      { ...CLIP, ratio: "product" },
    ),
  "kl k2": (batch, weights) => klLoss("k2", { ...batch, weights }),
  "kl k3": (batch, weights) => klLoss("k3", { ...batch, weights }),
};
/** Those whose gradient is not that of their value: a term in them is a constant to it. */
const WITH_CONSTANTS: typeof OBJECTIVES = {
  cispo: (batch, weights) => cispo({ ...batch, weights }, CLIP),
  "gspo token": (batch, weights) => gspoToken({ ...batch, weights }, CLIP),
  "rl-plus": (batch, weights) =>
    rlPlus(
      { ...batch, weights, external: batch.mask.map((_, row) => row % 2 === 1) },
      { explorationGamma: 0.5, uniformProbability: 1 },
    ),
  "kl k3+": (batch, weights) => klLoss("k3+", { ...batch, weights }),
};

const batches: fc.Arbitrary<Batch> = fc
  .array(fc.array(fc.integer({ min: 0, max: 1 }), { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 4 })
  .chain((mask) => {
    const array = (number: fc.Arbitrary<number>) => fc.tuple(...mask.map((row) => fc.tuple(...row.map(() => number))));
    const logProb = fc.double({ min: -4, max: -0.05, noNaN: true });
    const advantage = fc.double({ min: -2, max: 2, noNaN: true });
    return fc.record({
      mask: fc.constant(mask),
      newLogProbs: array(logProb),
      oldLogProbs: array(logProb),
      referenceLogProbs: array(logProb),
      behaviourLogProbs: array(logProb),
      advantages: array(advantage),
    });
  });

const weightsOf = (mask: Ragged) => aggregationWeights("token-mean", mask, batchDenominator("token-mean", mask));

/** The batch with other numbers wherever the mask is 0. */
function disturbed(batch: Batch, poison: number): Batch {
  const disturb = (numbers: number[][]) =>
    numbers.map((tokens, row) => tokens.map((number, t) => (batch.mask[row]![t] ? number : poison)));
  const entries = Object.entries(batch).map(([name, numbers]) => [name, name === "mask" ? numbers : disturb(numbers)]);
  return Object.fromEntries(entries) as Batch;
}

const POISON = [Number.NaN, Number.POSITIVE_INFINITY, -1e300, 7];

describe("masked tokens", () => {
  it.each(Object.entries({ ...OBJECTIVES, ...WITH_CONSTANTS }))(
    "change nothing in %s, and have no gradient",
    (_, of) => {
      fc.assert(
        fc.property(batches, fc.constantFrom(...POISON), (batch, poison) => {
          const plain = of(batch, weightsOf(batch.mask));
          expect(of(disturbed(batch, poison), weightsOf(batch.mask))).toEqual(plain);
          for (const [row, tokens] of batch.mask.entries())
            for (const [t, sampled] of tokens.entries()) if (!sampled) expect(plain.gradient[row]![t]).toBe(0);
        }),
      );
    },
  );

  it.each(["token", "sequence", "geometric-mean"] as const)("change no weight and no rejection by %s", (level) => {
    fc.assert(
      fc.property(batches, fc.constantFrom(...POISON), (batch, poison) => {
        for (const outside of ["clamp", "drop"] as const) {
          const options = { level, lower: 0.5, upper: 2, outside, normalise: true };
          expect(offPolicyWeights(disturbed(batch, poison), options)).toEqual(offPolicyWeights(batch, options));
        }
        const bounds = { level, lower: 0.5, upper: 2 };
        expect(rejectionMask(disturbed(batch, poison), bounds)).toEqual(rejectionMask(batch, bounds));
      }),
    );
  });

  it("change nothing in pairs, values and the teacher's likeliest", () => {
    fc.assert(
      fc.property(batches, fc.constantFrom(...POISON), (batch, poison) => {
        const other = disturbed(batch, poison);
        const options = { beta: 0.1, denominator: batch.mask.length };
        const pairs = (chosen: Batch) => ({ chosen, rejected: { ...chosen, newLogProbs: chosen.oldLogProbs } });
        expect(dpo(pairs(other), options)).toEqual(dpo(pairs(batch), options));
        expect(ipo(pairs(other), options)).toEqual(ipo(pairs(batch), options));
        const critic = ({ mask, newLogProbs: values, oldLogProbs: oldValues, advantages: returns }: Batch) =>
          valueLoss({ mask, values, oldValues, returns, weights: weightsOf(mask) }, { valueClip: 0.2 });
        expect(critic(other)).toEqual(critic(batch));
      }),
    );
    const taught = (masked: number) =>
      topKDistillation({
        studentLogProbs: [
          [-1, -2],
          [masked, masked],
        ],
        teacherLogProbs: [
          [-2, -1],
          [masked, masked],
        ],
        mask: [1, 0],
        weights: [1, 0],
      });
    expect(taught(Number.NaN)).toEqual(taught(-1));
  });
});

describe("the gradient", () => {
  const H = 1e-6;
  /** (f(x + h) − f(x − h)) / 2h, and undefined where the two sides disagree: at a corner of a clip. */
  function centralDifference(f: (by: number) => number): number | undefined {
    const [left, here, right] = [f(-H), f(0), f(H)];
    const sides = [(here - left) / H, (right - here) / H];
    return Math.abs(sides[0]! - sides[1]!) > 1e-3 ? undefined : (right - left) / (2 * H);
  }

  it.each(Object.entries(OBJECTIVES))("of %s is that of central differences", (_, of) => {
    let compared = 0;
    fc.assert(
      fc.property(batches, (batch) => {
        const weights = weightsOf(batch.mask);
        const { gradient } = of(batch, weights);
        for (const [row, tokens] of batch.mask.entries())
          for (const t of tokens.keys()) {
            const slope = centralDifference((by) => {
              const newLogProbs = batch.newLogProbs.map((xs, i) =>
                xs.map((x, j) => (i === row && j === t ? x + by : x)),
              );
              return of({ ...batch, newLogProbs }, weights).loss;
            });
            if (slope === undefined) continue;
            compared++;
            // A product of ratios may be e^20: the bound is relative to the gradient.
            expect(Math.abs(slope - gradient[row]![t]!)).toBeLessThan(1e-5 * (1 + Math.abs(slope)));
          }
      }),
      { numRuns: 60 },
    );
    expect(compared).toBeGreaterThan(100);
  });

  it("of pairs is that of central differences", () => {
    const side = (by: number) => ({
      newLogProbs: [[-1 + by, -2], [-0.5]],
      referenceLogProbs: [[-1.2, -1.7], [-0.9]],
      mask: [[1, 1], [1]],
    });
    for (const loss of [
      (by: number) =>
        dpo({ chosen: side(by), rejected: side(0.3) }, { beta: 0.5, denominator: 2, labelSmoothing: 0.1 }),
      (by: number) => ipo({ chosen: side(by), rejected: side(0.3) }, { beta: 0.5, denominator: 2 }),
    ])
      expect(loss(0).chosenGradient[0]![0]).toBeCloseTo((loss(H).loss - loss(-H).loss) / (2 * H), 7);
  });
});

describe("one step, one action, o = s", () => {
  const logits = [0.3, -1.2, 0.8, 0];
  const rewards = [1, -0.5, 0.25, 2];
  const exps = logits.map(Math.exp);
  const total = exps.reduce((sum, e) => sum + e, 0);
  const policy = exps.map((e) => e / total);
  const value = policy.reduce((sum, p, a) => sum + p * rewards[a]!, 0);
  // ∇_z J = π_k (r_k − Σ_a π_a r_a), in closed form.
  const bandit = policy.map((p, k) => p * (rewards[k]! - value));

  /** −∂L/∂z, by the chain rule through log-softmax: ∂ log π_a / ∂z_k = 1[a = k] − π_k. Each action weighs as often as it is taken. */
  function ascent({ gradient }: LossAndGradient): number[] {
    return logits.map((_, k) =>
      gradient.reduce((sum, [slope], a) => sum - slope! * ((a === k ? 1 : 0) - policy[k]!), 0),
    );
  }

  const rows = (baseline: number) => {
    const logProbs = policy.map((p) => [Math.log(p)]);
    return {
      newLogProbs: logProbs,
      oldLogProbs: logProbs,
      referenceLogProbs: logProbs,
      behaviourLogProbs: logProbs,
      advantages: rewards.map((reward) => [reward - baseline]),
      mask: policy.map(() => [1]),
      weights: policy.map((p) => [p]),
    };
  };
  const objectives: Readonly<Record<string, (batch: ReturnType<typeof rows>) => LossAndGradient>> = {
    REINFORCE: reinforce,
    "importance sampling": importanceSampling,
    PPO: (batch) => ppoClip(batch, { ...CLIP, dualClip: 3 }),
    GSPO: (batch) =>
      sequenceClip({ ...batch, advantages: batch.advantages.map(([a]) => a!) }, { ...CLIP, ratio: "geometric-mean" }),
    "GSPO by token": (batch) => gspoToken(batch, CLIP),
    SAPO: (batch) => sapo(batch, { tauPositive: 1, tauNegative: 1.05 }),
    CISPO: (batch) => cispo(batch, CLIP),
    "TIS on PPO": (batch) =>
      ppoClip(
        { ...batch, importanceWeights: offPolicyWeights(batch, { level: "token", upper: 2, outside: "clamp" }) },
        CLIP,
      ),
  };

  it.each(Object.entries(objectives))("%s has the gradient of the bandit to 1e-12, whatever the baseline", (_, of) => {
    for (const baseline of [0, value, 3])
      for (const [k, slope] of ascent(of(rows(baseline))).entries())
        expect(Math.abs(slope - bandit[k]!)).toBeLessThan(1e-12);
  });

  it("DPO has its closed form to 1e-12", () => {
    // h = β (log π_0 − log π_2), reference uniform; −∂L/∂log π_0 = β σ(−h)
    const [beta, reference] = [0.4, [[Math.log(0.25)]]];
    const side = (action: number) => ({
      newLogProbs: [[Math.log(policy[action]!)]],
      referenceLogProbs: reference,
      mask: [[1]],
    });
    const h = beta * Math.log(policy[0]! / policy[2]!);
    const { chosenGradient, rejectedGradient } = dpo({ chosen: side(0), rejected: side(2) }, { beta, denominator: 1 });
    expect(Math.abs(-chosenGradient[0]![0]! - beta / (1 + Math.exp(h)))).toBeLessThan(1e-12);
    expect(rejectedGradient[0]![0]).toBe(-chosenGradient[0]![0]!);
  });
});
