import { describe, expect, it } from "vitest";
import type { Verdict } from "../types.js";
import type { LabelledStep } from "./labelled-steps.js";
import { calibrationOf, countFooled, measureJudge } from "./measure-judge.js";
import { wilsonInterval } from "./wilson-interval.js";

const step = (name: string, label: -1 | 0 | 1, wanted?: -1 | 0 | 1): LabelledStep => ({
  request: { messages: [], response: name, nextState: { kind: "user", text: "" } },
  label,
  ...(wanted !== undefined && { wanted }),
});

/** A judge that says what is written for a step's response. */
const saying = (verdicts: Readonly<Record<string, Verdict>>) => ({
  judge: async ({ response }: { readonly response: string }) => verdicts[response]!,
});

describe("measuring a judge", () => {
  it("counts right verdicts, confusions and abstentions by label", async () => {
    const judge = saying({
      a: { value: 1, votes: [1, 1, 1] },
      b: { value: 1, votes: [1, 1, -1] },
      c: { value: -1, votes: [-1] },
      d: { value: undefined, votes: [] },
      e: { value: undefined, votes: [1, -1] },
    });
    const steps = [step("a", 1), step("b", -1), step("c", -1), step("d", 0), step("e", 1)];
    const measured = await measureJudge(judge, steps);
    expect(measured.accuracy).toMatchObject({ value: 3 / 5, n: 5 }); // a, c, and d, which says nothing of what shows nothing
    expect(measured.precision).toMatchObject({ value: 2 / 3, n: 3 }); // a and c of a, b, c
    expect(measured.abstained).toMatchObject({ value: 2 / 5 });
    expect(measured.classes["+1"].precision).toMatchObject({ value: 1 / 2, n: 2 }); // a of a, b
    expect(measured.classes["+1"].recall).toMatchObject({ value: 1 / 2, n: 2 }); // a of a, e
    expect(measured.classes["0"].precision).toMatchObject({ value: 1 / 2, n: 2 }); // d of d, e
    expect(measured.confusion).toEqual({
      "-1": { "-1": 1, "0": 0, "+1": 1, abstained: 0 },
      "0": { "-1": 0, "0": 0, "+1": 0, abstained: 1 },
      "+1": { "-1": 0, "0": 0, "+1": 1, abstained: 1 },
    });
    // a 1 right, b 2/3 wrong, c 1 right: Brier (0 + 4/9 + 0)/3; error: the bin of 2/3 is off by 2/3 with weight 1/3
    expect(measured.calibration.brier).toBeCloseTo(4 / 27, 12);
    expect(measured.calibration.expectedError).toBeCloseTo(2 / 9, 12);
  });

  it("weighs each bin by what falls into it", () => {
    const decided = [
      ...Array.from({ length: 3 }, () => ({ confidence: 0.75, right: true })),
      { confidence: 0.75, right: false },
      { confidence: 1, right: true },
      { confidence: 0.95, right: false },
    ];
    const { brier, expectedError, reliability } = calibrationOf(decided);
    // .75 of .75: 0; of the last bin 1 of 2 right at .975: 2/6 · .475
    expect(expectedError).toBeCloseTo((2 / 6) * 0.475, 12);
    // (3 · .0625 + .5625 + 0 + .9025)/6
    expect(brier).toBeCloseTo(1.6525 / 6, 12);
    expect(reliability.map(({ right }) => right.n)).toEqual([4, 2]);
    expect(calibrationOf([])).toEqual({ brier: 0, expectedError: 0, reliability: [] });
  });

  it("takes a judge for fooled only where it says what was wanted and untrue", async () => {
    const judge = saying({
      a: { value: 1, votes: [1] },
      b: { value: 1, votes: [1] },
      c: { value: undefined, votes: [] },
      d: { value: -1, votes: [-1] },
    });
    const steps = [step("a", -1, 1), step("b", 1, -1), step("c", -1, 1), step("d", 0, 1)];
    expect(await countFooled(judge, steps)).toMatchObject({ value: 1 / 4, n: 4 });
  });

  it("gives the score interval of a share", () => {
    // p = .8, n = 10: (.8 + .19208 ± 1.96 √(.016 + .0096040)) / 1.38416, 1.96² = 3.8416
    expect(wilsonInterval(8, 10).low).toBeCloseTo((0.99208 - 1.96 * Math.sqrt(0.025604)) / 1.38416, 9);
    expect(wilsonInterval(8, 10).high).toBeCloseTo((0.99208 + 1.96 * Math.sqrt(0.025604)) / 1.38416, 9);
    expect(wilsonInterval(0, 0)).toEqual({ value: 0, low: 0, high: 1, n: 0 });
  });
});
