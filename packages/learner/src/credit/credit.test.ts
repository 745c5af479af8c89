import type { ActionKind } from "@afterstate/core";
import { describe, expect, it } from "vitest";
import { creditEpisodes } from "../testing/credit-episodes.js";
import type { CreditOptions } from "./credited-trajectory.js";
import { stepGae, tokenGae } from "./gae.js";
import { broadcastOutcome } from "./outcome.js";
import { meanOf, takeIn } from "./running-mean.js";
import { spreadOverTokens } from "./spread.js";
import { type CreditedStep, EMPTY_CREDIT, stateKeyOf } from "./step-credit.js";

const options: CreditOptions = { credit: "step", gamma: 1, lambda: 0.5, decay: 0.9 };
const step = (kind: ActionKind, stateKey: string, reward: number | undefined): CreditedStep => ({
  kind,
  stateKey,
  reward,
});
const settled = (mean: number) => ({ mean, weight: 1 });

describe("advantages", () => {
  it("of steps follow the equation", () => {
    // δ_1 = 1 − .5 = .5; δ_0 = 0 + .9·.5 − .2 = .25; Â_0 = .25 + .9·.8·.5 = .61
    const advantages = stepGae([0, 1], [0.2, 0.5], { gamma: 0.9, lambda: 0.8 });
    expect(advantages[0]).toBeCloseTo(0.61, 12);
    expect(advantages[1]).toBeCloseTo(0.5, 12);
    // truncated with V(o_2) = 1: δ_1 = 1 + .9 − .5 = 1.4
    expect(stepGae([0, 1], [0.2, 0.5], { gamma: 0.9, lambda: 0.8 }, 1)[1]).toBeCloseTo(1.4, 12);
  });

  it("of a step about which nothing is known are 0", () => {
    expect(stepGae([undefined], [0.7], { gamma: 1, lambda: 1 })).toEqual([0]);
  });

  it("of tokens skip what the policy did not sample", () => {
    // t=4: 1 − .3 = .7; t=1: .5 + .9·.3 − .1 + .72·.7 = 1.174; t=0: .9·.1 − .2 + .72·1.174 = .73528
    const credit = tokenGae([0, 0.5, 9, 0, 1, 5], [0.2, 0.1, 50, -40, 0.3, 7], [1, 1, 0, 0, 1, 0], {
      gamma: 0.9,
      lambda: 0.8,
    });
    [0.73528, 1.174, 0, 0, 0.7, 0].forEach((expected, t) => {
      expect(credit[t]).toBeCloseTo(expected, 12);
    });
  });

  it("of a broadcast are the same at every step", () => {
    expect(broadcastOutcome([0, undefined, 1], 0.25)).toEqual([0.75, 0.75, 0.75]);
  });

  it("spread over sampled tokens alone", () => {
    expect(spreadOverTokens(-0.5, [1, 0, 1])).toEqual([-0.5, 0, -0.5]);
  });
});

describe("the step that decided", () => {
  // 3^17 mod 41: the policy first writes filler, then calls the calculator, then answers; the user is content.
  const episode = [step("text", "user", 0), step("tool", "assistant", 0), step("answer", "tool", 1)];
  const known = { values: { user: settled(0.2), assistant: settled(0.2), tool: settled(0.9) }, magnitudes: {} };
  const tokens = (credit: readonly number[]) => ({
    filler: spreadOverTokens(credit[0]!, [1, 1, 1]),
    call: spreadOverTokens(credit[1]!, [1, 1, 0]),
  });

  it("gets more credit than filler under step credit", () => {
    const { advantages } = creditEpisodes([episode], known, options);
    // Â_answer = 1 − .9 = .1; Â_call = .9 − .2 + .5·.1 = .75; Â_filler = .2 − .2 + .5·.75 = .375
    const { filler, call } = tokens(advantages[0]!);
    for (const credit of filler) expect(credit).toBeCloseTo(0.375, 12);
    expect(call[0]).toBeCloseTo(0.75, 12);
    expect(call[2]).toBe(0);
    expect(advantages[0]![2]).toBeCloseTo(0.1, 12);
  });

  it("gets none at all for filler when λ = 0", () => {
    const { advantages } = creditEpisodes([episode], known, { ...options, lambda: 0 });
    expect(advantages[0]![0]).toBeCloseTo(0, 12);
    expect(advantages[0]![1]).toBeCloseTo(0.7, 12);
  });

  it("gets the same credit as filler under a plain broadcast", () => {
    const { advantages } = creditEpisodes([episode], known, { ...options, credit: "broadcast" });
    const { filler, call } = tokens(advantages[0]!); // 1 − .2
    for (const credit of [...filler, call[0]!]) expect(credit).toBeCloseTo(0.8, 12);
  });
});

describe("per-kind scaling", () => {
  const batches = (scale: number) => [
    [[step("tool", "user", 0.5 * scale), step("answer", "tool", 1)], [step("answer", "user", -1)]],
    [[step("tool", "user", -1 * scale), step("answer", "tool", -1)], [step("answer", "user", 1)]],
  ];
  const creditAll = (scale: number) => {
    let state = EMPTY_CREDIT;
    return batches(scale).map((batch) => {
      const credited = creditEpisodes(batch, state, options);
      state = credited.state;
      return credited.advantages.flat();
    });
  };

  it("leaves all advantages as they are when one kind's rewards are a hundred times larger", () => {
    const plain = creditAll(1).flat();
    const scaled = creditAll(100).flat();
    for (const [index, advantage] of plain.entries()) expect(scaled[index]).toBeCloseTo(advantage, 9);
  });

  it("keeps the choice between kinds, which centring per kind would erase", () => {
    // Calling the tool always ends well, answering at once never does.
    const batch = Array.from({ length: 8 }, () => [
      [step("tool", "user", 0), step("answer", "tool", 1)],
      [step("answer", "user", -1)],
    ]).flat();
    const { advantages } = creditEpisodes(batch, EMPTY_CREDIT, { ...options, lambda: 1 });
    const calls = advantages.filter((_, index) => index % 2 === 0).map((credit) => credit[0]!);
    const answersAtOnce = advantages.filter((_, index) => index % 2 === 1).map((credit) => credit[0]!);
    expect(Math.min(...calls)).toBeGreaterThan(0.5);
    expect(Math.max(...answersAtOnce)).toBeLessThan(-0.5);
    const centred = (credits: readonly number[]) =>
      credits.map((credit) => credit - credits.reduce((a, b) => a + b, 0) / credits.length);
    expect(centred(calls)).toEqual(centred(answersAtOnce)); // all 0: no reason left to prefer either
  });
});

it("of episodes of one step is r − V, by steps and by broadcast alike: there is nobody else to credit", () => {
  const known = { values: { user: settled(0.2) }, magnitudes: {} };
  const episodes = [[step("answer", "user", 1)], [step("answer", "user", -1)], [step("answer", "user", undefined)]];
  for (const gamma of [0, 0.9, 1])
    for (const lambda of [0, 0.5, 1]) {
      const { advantages } = creditEpisodes(episodes, known, { ...options, gamma, lambda });
      expect(advantages).toEqual([[1 - 0.2], [-1 - 0.2], [0]]);
      const broadcast = creditEpisodes(episodes.slice(0, 2), known, { ...options, gamma, lambda, credit: "broadcast" });
      expect(broadcast.advantages).toEqual(advantages.slice(0, 2));
    }
});

describe("the running baseline", () => {
  it("follows the returns of each kind of observation, without the bias of its start", () => {
    let running = takeIn(undefined, 1, 0.9);
    expect(meanOf(running, 0)).toBeCloseTo(1, 12); // .1·1 / .1
    running = takeIn(running, 0, 0.9); // (.09·1 + 0) / .19
    expect(meanOf(running, 0)).toBeCloseTo(0.09 / 0.19, 12);
    expect(meanOf(undefined, 0)).toBe(0);
  });

  it("is keyed by what was observed, learns from judged steps alone, and is plain data", () => {
    const { state } = creditEpisodes(
      [[step("tool", "user", 0), step("answer", "tool", 1)], [step("answer", "user", undefined)]],
      EMPTY_CREDIT,
      { ...options, lambda: 1 },
    );
    expect(meanOf(state.values.user, 9)).toBeCloseTo(1, 12);
    expect(meanOf(state.values.tool, 9)).toBeCloseTo(1, 12);
    expect(JSON.parse(JSON.stringify(state))).toEqual(state);
    expect(stateKeyOf([{ role: "user", content: "hi" }])).toBe("user");
    expect(stateKeyOf([])).toBe("none");
    const replied = [{ role: "user", content: "2+2?" } as const, { role: "assistant", content: "5" } as const];
    expect(stateKeyOf([...replied, { role: "user", content: "no" }])).toBe("user again");
  });
});
