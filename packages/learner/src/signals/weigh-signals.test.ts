import type { Signal } from "@afterstate/core";
import { describe, expect, it } from "vitest";
import { chooseHints } from "./choose-hints.js";
import { costSignal } from "./cost-signal.js";
import { weighSignals } from "./weigh-signals.js";

const reward = (source: string, value: number): Signal => ({ kind: "reward", source, value, reliability: 1 });
const hint = (text: string, reliability = 0.9, rejected?: string): Signal => ({
  kind: "hint",
  source: "rules",
  text,
  reliability,
  ...(rejected !== undefined && { rejected }),
});

describe("the signals of a step", () => {
  it("let feedback override verifiers, and verifiers judges", () => {
    const [judged, verified, told] = [reward("rules", 1), reward("verifier:tests", -1), reward("feedback", 1)];
    expect(weighSignals([judged])).toMatchObject({ reward: 1, evidence: true });
    expect(weighSignals([verified, judged])).toMatchObject({ reward: -1, evidence: true });
    expect(weighSignals([told, verified, judged])).toMatchObject({ reward: 1, evidence: true });
    expect(weighSignals([])).toEqual({ reward: undefined, evidence: false, shaping: 0, hints: [] });
  });

  it("count every parallel result, and of several feedbacks the last", () => {
    expect(weighSignals([reward("rules", 0), reward("rules", -1), reward("rules", 0)]).reward).toBeCloseTo(-1 / 3, 12);
    expect(weighSignals([reward("verifier:a", 1), reward("verifier:b", -0.5)]).reward).toBe(0.25);
    expect(weighSignals([reward("feedback", -1), reward("feedback", 1)]).reward).toBe(1);
  });

  it("are no evidence where a judge says 0, and are where a verifier does", () => {
    expect(weighSignals([reward("rules", 0)]).evidence).toBe(false);
    expect(weighSignals([reward("verifier:tests", 0)]).evidence).toBe(true);
    expect(weighSignals([reward("rules", Number.NaN)]).reward).toBeUndefined();
  });

  it("keep cost beside the reward, and never take it for one", () => {
    expect(weighSignals([reward("cost", -0.2), reward("rules", 1)])).toMatchObject({ reward: 1, shaping: -0.2 });
    expect(weighSignals([reward("cost", -0.2)])).toMatchObject({ reward: undefined, evidence: false, shaping: -0.2 });
  });
});

describe("the hints of a step", () => {
  it("are up to three, the most reliable first, none said twice in other fillers, none that was measured to do no good", () => {
    expect(
      chooseHints([
        hint("Use my name.", 0.5),
        hint("Please use the calculator.", 0.7),
        hint("Use the calculator next time, please.", 0.9),
        hint("Don't use my name.", 0.4),
        hint("The sky is blue.", 1, "it does no good"),
        hint("Be brief.", 0.8),
      ]),
    ).toEqual(["Use the calculator next time, please.", "Be brief.", "Use my name."]);
  });

  it("are no longer together than a prompt should carry", () => {
    const long = (letter: string) => hint(`${letter.repeat(200)}.`);
    expect(chooseHints([long("a"), long("b"), long("c"), hint("Be brief.")]).map((text) => text[0])).toEqual([
      "a",
      "b",
      "B",
    ]);
  });
});

describe("cost", () => {
  const cost = { inputTokens: 900, outputTokens: 100, dollars: 0.02, durationMs: 2_000 };

  it("takes a bounded share off, by what was spent in units", () => {
    const signal = costSignal({ tokensPerUnit: 1_000, dollarsPerUnit: 0.02, weight: 0.2 });
    expect(signal(cost)).toBeCloseTo(-0.2 * (1 - Math.exp(-2)), 12); // one unit of tokens, one of dollars
    expect(signal({ ...cost, dollars: 1e9 })).toBeCloseTo(-0.2, 12);
    expect(signal({ inputTokens: 0, outputTokens: 0, dollars: 0, durationMs: 9 })).toBe(0);
  });

  it("refuses a weight that could outweigh a verdict, and units of nothing", () => {
    expect(() => costSignal({ weight: 1 })).toThrow(/less than 1/);
    expect(() => costSignal({ weight: 0.1, msPerUnit: 0 })).toThrow(/msPerUnit must be more than 0/);
  });
});
