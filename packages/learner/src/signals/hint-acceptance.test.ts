import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EMBEDDED_POLICY, readPolicyFolder } from "../checkpoints/policy-folder.js";
import { openPolicy } from "../policy/policy-runtime.js";
import { openBackend } from "../tensor/backend.js";
import { fakePolicy } from "../testing/fake-policy.js";
import { type AnsweredStep, answerQuestions, CALCULATOR } from "../testing/homework-answers.js";
import type { PolicyRuntime } from "../types.js";
import { acceptByLogProbs, acceptBySampling, type HintAcceptance } from "./hint-acceptance.js";
import { wilsonInterval } from "./wilson-interval.js";

const QUESTIONS = 48;

let policy: PolicyRuntime;
let answered: readonly AnsweredStep[];

beforeAll(async () => {
  await openBackend({ name: "wasm" });
  policy = await openPolicy(readPolicyFolder(EMBEDDED_POLICY));
  answered = (await answerQuestions(policy, QUESTIONS, 3)).map(({ steps }) => steps[0]!);
});
afterAll(() => policy.dispose());

/** How many of the steps it takes a hint on, with the 95 % interval. */
async function taken(
  acceptance: HintAcceptance,
  hints: readonly string[],
  steps: readonly AnsweredStep[],
  reward: number,
) {
  const effects = await Promise.all(
    steps.flatMap(({ messages, tokens }) =>
      hints.map((hint) => acceptance.measure({ messages, tools: CALCULATOR, tokens, hint, reward })),
    ),
  );
  return wilsonInterval(effects.filter(({ rejected }) => rejected === undefined).length, effects.length);
}

describe("hints that the embedded policy is taught by", () => {
  const isBare = ({ response }: AnsweredStep) => /^-?[\d.]+$/.test(response);
  const isWordy = ({ response }: AnsweredStep) => /answer is|=/.test(response);
  const direct = () => answered.filter(({ kind }) => kind === "answer");

  it("are taken when they are right and dropped when they are beside the point or ask for what was done", async () => {
    const acceptance = acceptByLogProbs({ policy, seed: 1 });
    const take = (hints: readonly string[], steps: readonly AnsweredStep[]) => taken(acceptance, hints, steps, -1);
    const measured = {
      calculator: await take(["Use the calculator."], direct()),
      number: await take(["Just the number, please."], direct().filter(isWordy)),
      beside: await take(["The sky is blue."], direct()),
      calculatorWhereUsed: await take(
        ["Use the calculator."],
        answered.filter(({ kind }) => kind === "tool"),
      ),
      numberWhereBare: await take(["Just the number, please."], direct().filter(isBare)),
    };
    expect(measured.calculator.value).toBeGreaterThanOrEqual(0.9);
    expect(measured.number.value).toBeGreaterThanOrEqual(0.9);
    expect(measured.beside.value).toBeLessThan(0.1);
    expect(measured.calculatorWhereUsed.value).toBeLessThan(0.1);
    expect(measured.numberWhereBare.value).toBeLessThan(0.25);
  });

  it("must not make a good response less likely", async () => {
    const acceptance = acceptByLogProbs({ policy, seed: 1 });
    const bare = direct().filter(isBare);
    expect((await taken(acceptance, ["Show the working, please."], bare, 1)).value).toBeLessThan(0.1);
    expect((await taken(acceptance, ["Just the number, please."], bare, 1)).value).toBeGreaterThan(0.75);
  });

  it("are taken by their responses where those can be scored", async () => {
    const [step] = direct();
    const score = (response: string) => (response.includes('"calculator"') ? 1 : -1);
    const acceptance = acceptBySampling({ model: policy.model(), score, samples: 12, seed: 2 });
    const measure = (hint: string) => acceptance.measure({ ...step!, tools: CALCULATOR, hint, reward: -1 });
    expect(await measure("Use the calculator.")).toEqual({ effect: expect.any(Number) });
    expect((await measure("Do it in your head, please.")).rejected).toMatch(/were better 0 times/);
    const blind = acceptBySampling({ model: policy.model(), score: () => undefined, samples: 6, seed: 2 });
    expect(await blind.measure({ ...step!, tools: CALCULATOR, hint: "Use the calculator.", reward: -1 })).toEqual({});
  });
});

describe("what cannot be measured", () => {
  const messages = [{ role: "user", content: "What is 2 + 2?" }] as const;
  const tokens = { promptIds: [1], ids: [1, 2], logProbs: [-1, -1], mask: [1, 0], temperature: 1 };
  const acceptance = acceptByLogProbs({ policy: fakePolicy(), seed: 1 });

  it("is not held against a hint: no token record, no user message, no token of the policy's own", async () => {
    const step = { messages, tools: [], tokens, hint: "Use the calculator.", reward: -1 };
    expect(await acceptance.measure({ messages, tools: [], hint: step.hint, reward: -1 })).toEqual({});
    expect(await acceptance.measure({ ...step, messages: [{ role: "system", content: "x" }] })).toEqual({});
    expect(await acceptance.measure({ ...step, tokens: { ...tokens, mask: [0, 0] } })).toEqual({});
    expect((await acceptance.measure(step)).rejected).toMatch(/does not make the response less likely/);
  });

  it("is refused as an option", () => {
    expect(() => acceptByLogProbs({ policy: fakePolicy(), margin: -1, seed: 1 })).toThrow(/margin must be 0 or more/);
    const model = { name: "none", policyVersion: () => "none", generate: () => expect.fail("not to be asked") };
    expect(() => acceptBySampling({ model, score: () => 1, samples: 3, seed: 1 })).toThrow(/at least 6 pairs/);
  });
});
