import { createRandom } from "@afterstate/core";
import { describe, expect, it } from "vitest";
import { evaluateObjective } from "../objectives/objective.js";
import { creditTrajectories } from "./credit-trajectories.js";
import type { CreditedTrajectory, CreditOptions, TrajectoryStep } from "./credited-trajectory.js";
import { fspo } from "./fspo.js";
import { GIGPO_DEFAULTS, gigpo } from "./gigpo.js";
import { groupAdvantages, leaveOneOut } from "./group-statistics.js";
import { HIPER_DEFAULTS, hiper, hiperTokens } from "./hiper.js";
import { INFORMATION_GAIN_DEFAULTS, informationGainAdvantages } from "./information-gain.js";
import { tokenGaeAcrossSteps } from "./row-gae.js";
import { EMPTY_CREDIT } from "./step-credit.js";

const OPTIONS: CreditOptions = { credit: "group", gamma: 0.9, lambda: 0.8, decay: 0.9 };
const step = (stateKey: string, reward: number | undefined, more: Partial<TrajectoryStep> = {}): TrajectoryStep => ({
  kind: "tool",
  stateKey,
  reward,
  mask: [1, 0, 1],
  anchor: stateKey,
  ...more,
});
const trajectory = (
  id: string,
  task: string,
  steps: readonly TrajectoryStep[],
  more: Partial<CreditedTrajectory> = {},
): CreditedTrajectory => ({ id, task, steps, terminated: true, ...more });

// Rewards of ±1 are their own units. Task "t" has three attempts, "u" two that end alike.
const BATCH = [
  trajectory("a", "t", [step("s0", 0), step("s1", 1)]),
  trajectory("b", "t", [step("s0", 0), step("s2", -1)]),
  trajectory("c", "t", [step("s0", -1)]),
  trajectory("d", "u", [step("s0", 0), step("s1", 1)]),
  trajectory("e", "u", [step("s0", 1)]),
];
const ROWS = {
  trajectories: ["a", "a", "b", "b", "c", "d", "d", "e"],
  steps: [0, 1, 0, 1, 0, 0, 1, 0],
  prompts: ["t", "t", "t", "t", "t", "u", "u", "u"],
};
const REWARDS = [0, 1, 0, -1, -1, 0, 1, 1];
const OUTCOMES = [1, -1, -1, 1, 1];
const TASKS = ["t", "t", "t", "u", "u"];
const credit = (options: Partial<CreditOptions>, batch = BATCH, state = EMPTY_CREDIT) =>
  creditTrajectories(batch, state, { ...OPTIONS, ...options });
/** Each step's credit at its first token; the second is an observation, and the third has the same. */
const perStep = (options: Partial<CreditOptions>, batch = BATCH) =>
  credit(options, batch)
    .credits.flat()
    .map(({ advantages }) => {
      expect([advantages[1], advantages[2]]).toEqual([0, advantages[0]]);
      return advantages[0]!;
    });
const perTrajectory = (of: readonly number[]) => BATCH.flatMap(({ steps }, i) => steps.map(() => of[i]!));

describe("credit by name", () => {
  it("by group and leave-one-out compares outcomes of the same task", () => {
    expect(perStep({})).toEqual(perTrajectory(groupAdvantages(OUTCOMES, TASKS)));
    expect(perStep({ group: { scale: "none", degreesOfFreedom: 1, epsilon: 1e-6 } })[0]).toBeCloseTo(4 / 3, 12); // 1 − (−1/3)
    expect(perStep({ credit: "leave-one-out" })).toEqual(perTrajectory(leaveOneOut(OUTCOMES, TASKS)));
  });

  it("by anchor adds steps against steps from the same place", () => {
    const rows = { ...ROWS, anchors: ["s0", "s1", "s0", "s2", "s0", "s0", "s1", "s0"], rewards: REWARDS };
    const expected = gigpo(rows, { ...GIGPO_DEFAULTS, gamma: 0.9, stepWeight: 0.5 }).advantages;
    expect(perStep({ credit: "anchor", stepWeight: 0.5 })).toEqual(expected);
    expect(perStep({ credit: "anchor", stepWeight: 0 })).toEqual(perStep({}));
  });

  it("by token is one chain through all steps, with the value of a step's state at its tokens", () => {
    const state = { values: { s0: { mean: 0.2, weight: 1 }, s1: { mean: 0.6, weight: 1 } }, magnitudes: {} };
    const values = ["s0", "s1", "s0", "s2", "s0", "s0", "s1", "s0"].map((key) =>
      key === "s0" ? 0.2 : key === "s1" ? 0.6 : 0,
    );
    const mask = ROWS.steps.map(() => [1, 0, 1]);
    const expected = tokenGaeAcrossSteps(
      { ...ROWS, rewards: REWARDS, values: values.map((value) => [value, value, value]), mask },
      OPTIONS,
    );
    const found = credit({ credit: "token" }, BATCH, state);
    expect(found.credits.flat().map(({ advantages }) => advantages)).toEqual(expected);
    // Single episodes are enough: alone it is the same.
    expect(credit({ credit: "token" }, BATCH.slice(0, 1), state).credits[0]).toEqual(found.credits[0]);
    expect(found.state.values.s1!.mean).not.toBe(0.6);
  });

  it("by hierarchy tells subgoals, actions and switches apart, and takes a plan for a subgoal where nobody marked any", () => {
    const roles = ["switch", "subgoal", "action"] as const;
    const mask = [1, 1, 1];
    const marked = [
      trajectory("a", "t", [
        step("s0", 0, { mask, roles, switched: true }),
        step("s1", 1, { mask, roles, switched: false }),
        step("s2", -1, { mask, roles, switched: true }),
      ]),
      trajectory("b", "t", [step("s0", 1, { mask, roles, switched: true })]),
    ];
    const rows = { trajectories: ["a", "a", "a", "b"], steps: [0, 1, 2, 0] };
    const zeros = [0, 0, 0, 0];
    const expected = hiperTokens(
      hiper(
        {
          ...rows,
          rewards: [0, 1, -1, 1],
          terminated: [true, true, true, true],
          switches: [true, false, true, true],
          values: { low: zeros, high: zeros, term: zeros },
        },
        { ...HIPER_DEFAULTS, gamma: 0.9, turnLambda: 0.8 },
      ),
      [roles, roles, roles, roles],
      [mask, mask, mask, mask],
    );
    const found = credit({ credit: "hierarchical" }, marked).credits.flat();
    expect(found.map(({ advantages }) => advantages)).toEqual(expected.advantages);
    // A subgoal that was only repeated is not trained.
    expect(found.map((one) => one.mask)).toEqual([mask, [1, 0, 1], mask, mask]);
    const planned = [
      trajectory("a", "t", [
        step("s0", 0, { kind: "plan" }),
        step("s1", 1),
        step("s0", 0, { kind: "plan" }),
        step("s1", -1),
      ]),
    ];
    const [plan, act, again, fail] = credit({ credit: "hierarchical" }, planned).credits[0]!.map(
      ({ advantages }) => advantages[0]!,
    );
    // Two plans, two actions; each head is normalised by itself, and what ended well is the better of both.
    expect([plan! > 0, act! > 0, again! < 0, fail! < 0]).toEqual([true, true, true, true]);
    expect(plan).toBeCloseTo(1, 6);
  });

  it("by hierarchy charges a turn that keeps its subgoal and names another", () => {
    const turns = (second: string) => [
      trajectory("a", "t", [
        step("s0", 0, { switched: true, subgoal: "find" }),
        step("s1", 0, { switched: false, subgoal: second }),
        step("s2", 1, { switched: false }),
      ]),
    ];
    const of = (second: string, options: Partial<CreditOptions>) =>
      credit({ credit: "hierarchical", ...options }, turns(second)).state.values["low/s1"]!.mean;
    // G_1 = 0 + .9 · 1; the penalty comes on top: −.3.
    const [kept, other] = [
      of("find", { consistencyPenalty: -0.3, lambda: 1 }),
      of("buy", { consistencyPenalty: -0.3, lambda: 1 }),
    ];
    expect(kept - other).toBeCloseTo(0.1 * 0.3, 12); // a running mean takes a tenth in
    expect(of("buy", {})).toBe(of("find", {}));
  });

  it("by factuality turns what is false in a right answer", () => {
    const factual = BATCH.map((one) => ({
      ...one,
      steps: one.steps.map((step) => ({ ...step, factuality: [1, 0, -1] })),
    }));
    const expected = fspo({
      rewards: OUTCOMES,
      groups: TASKS,
      factuality: BATCH.map(({ steps }) => steps.flatMap(() => [1, 0, -1])),
      mask: BATCH.map(({ steps }) => steps.flatMap(() => [1, 0, 1])),
    });
    const found = credit({ credit: "factuality" }, factual).credits.map((steps) =>
      steps.flatMap(({ advantages }) => advantages),
    );
    expect(found).toEqual(expected);
    expect(found[0]![0]).toBe(-found[0]![2]!);
  });

  it("by omission rewards what was left out, and weighs parts by their number", () => {
    const omitted = { thoughtTokens: 3, observationTokens: 2, totalTokens: 10 };
    const [a, b, c] = BATCH as [CreditedTrajectory, CreditedTrajectory, CreditedTrajectory];
    const one = (id: string, reward: number) => trajectory(id, "t", [step("s0", reward)], { partOf: "a" });
    const batch = [{ ...a, omitted }, b, c, one("p", 1), one("q", -1)];
    const found = credit({ credit: "omission", mu: 0.2 }, batch).credits.map(([first]) => first!.advantages[0]!);
    // r_a = .8 · 1 + .2 · .5 = .9
    const full = groupAdvantages([0.9, -1, -1], ["t", "t", "t"]);
    const parts = groupAdvantages([1, -1], ["t", "t"]).map((advantage) => advantage / 2);
    for (const [i, expected] of [...full, ...parts].entries()) expect(found[i]).toBeCloseTo(expected, 12);
  });

  it("by information gain credits what told about the answer", () => {
    const informed = BATCH.map((one, i) => ({
      ...one,
      priorLogProb: -3,
      steps: one.steps.map((step, k) => ({ ...step, goldLogProb: -2 + k - i / 7 })),
    }));
    const byId = (of: (i: number) => number) => Object.fromEntries(BATCH.map(({ id }, i) => [id, of(i)]));
    const expected = informationGainAdvantages(
      {
        ...ROWS,
        goldLogProbs: informed.flatMap(({ steps }) => steps.map(({ goldLogProb }) => goldLogProb)),
        priorLogProbs: byId(() => -3),
        outcomes: byId((i) => OUTCOMES[i]!),
      },
      { ...INFORMATION_GAIN_DEFAULTS, gamma: 0.9 },
    );
    expect(perStep({ credit: "information-gain" }, informed)).toEqual(expected);
    expect(() => credit({ credit: "information-gain" })).toThrow(/trajectory "a" has not; give goldLogProb/);
  });

  it("by what was rewarded is 1 there, and leaves the rest out", () => {
    const found = credit({ credit: "rewarded", threshold: 1 }).credits;
    expect(found.map(([first]) => first)).toEqual(
      OUTCOMES.map((outcome) => {
        const kept = outcome >= 1 ? [1, 0, 1] : [0, 0, 0];
        return { advantages: kept, mask: kept };
      }),
    );
  });

  it("is the weighted sum of several, each with values of its own", () => {
    const mixed = credit({
      credit: [
        { credit: "step", weight: 2 },
        { credit: "group", weight: 0.5 },
      ],
    });
    const [steps, group] = [perStep({ credit: "step" }), perStep({})];
    for (const [row, { advantages }] of mixed.credits.flat().entries())
      expect(advantages[0]).toBeCloseTo(2 * steps[row]! + 0.5 * group[row]!, 12);
    expect(Object.keys(mixed.state.values)).toContain("step/s0");
  });

  it("has a running baseline for whoever is alone in its group, and nothing for whom nobody judged", () => {
    const values = { "outcome/s0": { mean: 0.25, weight: 1 } };
    const batch = [
      trajectory("x", "v", [step("s0", 0), step("s1", 1)]),
      trajectory("y", "w", [step("s0", undefined)]),
      ...BATCH.slice(0, 2),
      trajectory("z", "t", [step("s0", undefined)]),
    ];
    for (const name of ["group", "leave-one-out", "anchor"] as const) {
      const { credits, state } = credit({ credit: name }, batch, { values, magnitudes: {} });
      expect(credits[0]!.map(({ advantages }) => advantages)).toEqual([
        [0.75, 0, 0.75],
        [0.75, 0, 0.75],
      ]);
      expect(credits[1]![0]!.advantages).toEqual([0, 0, 0]);
      expect(credits[4]![0]!.advantages).toEqual([0, 0, 0]);
      // Nobody judged z, so that a and b are a group of two: leaving one out, 1 − (−1).
      if (name === "leave-one-out") expect(credits[2]![0]!.advantages[0]).toBe(2);
      expect(state.values["outcome/s0"]!.weight).toBeGreaterThan(1 - 1e-12);
    }
  });
});

it("of one step, one action and o = s is the gradient of the bandit, to 1e-12", () => {
  // Softmax policies over 4 actions, all actions as samples in their own frequency: Σ_a π(a) Â(a) ∇ log π(a), by the logits.
  const random = createRandom(5);
  const logits = Array.from({ length: 4 }, () => random.next() * 2 - 1);
  const total = logits.reduce((sum, z) => sum + Math.exp(z), 0);
  const policy = logits.map((z) => Math.exp(z) / total);
  const rewards = [1, -1, 1, -1];
  const value = 0.3;
  const bandit = policy.map((p, k) => {
    const mean = policy.reduce((sum, q, a) => sum + q * (rewards[a]! - value), 0);
    return p * (rewards[k]! - value - mean);
  });
  const batch = rewards.map((reward, a) =>
    trajectory(`${a}`, `${a}`, [step("user", reward, { kind: "answer", mask: [1] })]),
  );
  const state = {
    values: { user: { mean: value, weight: 1 }, "outcome/user": { mean: value, weight: 1 } },
    magnitudes: {},
  };
  for (const credit of ["broadcast", "step", "token", "group"] as const) {
    const advantages = creditTrajectories(batch, state, { ...OPTIONS, credit }).credits.map(([one]) => [
      ...one!.advantages,
    ]);
    for (const loss of [{ name: "reinforce" }, { name: "ppo", clipLow: 0.2, clipHigh: 0.2 }] as const) {
      const logProbs = policy.map((p) => [Math.log(p)]);
      const { gradient } = evaluateObjective(
        { loss, aggregation: "constant" },
        {
          newLogProbs: logProbs,
          oldLogProbs: logProbs,
          behaviourLogProbs: logProbs,
          advantages,
          mask: logProbs.map(() => [1]),
        },
        1,
      );
      // ∂ log π(a)/∂ z_k = [a = k] − π(k), each action as often as the policy takes it.
      for (const [k, expected] of bandit.entries()) {
        const slope = gradient.reduce((sum, [g], a) => sum + policy[a]! * g! * ((a === k ? 1 : 0) - policy[k]!), 0);
        expect(Math.abs(slope + expected)).toBeLessThan(1e-12);
      }
    }
  }
});
