import { describe, expect, it } from "vitest";
import { labelledSteps } from "./labelled-steps.js";
import { countFooled, measureJudge } from "./measure-judge.js";
import { ruleHintReader } from "./rule-hint-reader.js";
import { ruleJudge } from "./rule-judge.js";
import { testReport } from "./test-report.js";
import { withVerifiers } from "./verifiers.js";

async function hintsRight(set: "development" | "held-out"): Promise<number> {
  const replies = labelledSteps(set).filter(({ request }) => request.nextState.kind === "user");
  const read = await Promise.all(replies.map(({ request }) => ruleHintReader().read(request)));
  return replies.filter(({ hint }, index) => read[index] === hint).length / replies.length;
}

describe("the labelled steps", () => {
  it("are 300 and more, none of them twice, with every label and both kinds of next state in either half", () => {
    const halves = [labelledSteps("development"), labelledSteps("held-out")];
    expect(halves.flat().length).toBeGreaterThanOrEqual(300);
    expect(new Set(halves.flat().map(({ request }) => JSON.stringify(request))).size).toBe(halves.flat().length);
    for (const half of halves) {
      expect(new Set(half.map(({ label }) => label))).toEqual(new Set([-1, 0, 1]));
      expect(new Set(half.map(({ request }) => request.nextState.kind))).toEqual(new Set(["user", "tool"]));
    }
  });
});

describe("the rule readers on labelled steps", () => {
  it("say of themselves what is measured on the held-out half", async () => {
    const { precision } = await measureJudge(ruleJudge(), labelledSteps("held-out"));
    expect(ruleJudge().reliability).toBeCloseTo(precision.value, 3);
    expect(ruleHintReader().reliability).toBeCloseTo(await hintsRight("held-out"), 3);
  });

  it("blame rightly, praise a polite user's wrong answers too often, and abstain on what is meant between the lines", async () => {
    const { accuracy, abstained, classes } = await measureJudge(ruleJudge(), labelledSteps("held-out"));
    expect(accuracy.low).toBeGreaterThan(0.6);
    expect(abstained.value).toBeLessThan(0.3);
    expect(classes["-1"].precision.low).toBeGreaterThan(0.9);
    expect(classes["+1"].precision.low).toBeGreaterThan(0.65);
  });

  it("do better on the half that they were made with", async () => {
    const { accuracy } = await measureJudge(ruleJudge(), labelledSteps("development"));
    expect(accuracy.low).toBeGreaterThan(0.8);
    expect(await hintsRight("development")).toBeGreaterThan(0.97);
  });

  it("judge test runs rightly once a verifier reads them", async () => {
    const runs = labelledSteps("held-out").filter(
      ({ request: { nextState } }) => nextState.kind === "tool" && nextState.results[0]!.toolName === "shell",
    );
    const [alone, verified] = [
      await measureJudge(ruleJudge(), runs),
      await measureJudge(withVerifiers([testReport({ tools: ["shell"] })], ruleJudge()), runs),
    ];
    expect(alone.accuracy.value).toBe(0);
    expect(verified.accuracy.value).toBe(1);
  });

  it("are fooled by none of the texts that were planted for a judge", async () => {
    const judge = withVerifiers([testReport({ tools: ["shell"] })], ruleJudge());
    expect((await countFooled(judge, labelledSteps("poisoned"))).value).toBe(0);
  });
});
