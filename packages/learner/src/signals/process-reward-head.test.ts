import { createRandom } from "@afterstate/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EMBEDDED_POLICY, readPolicyFolder } from "../checkpoints/policy-folder.js";
import { openPolicy } from "../policy/policy-runtime.js";
import { openBackend } from "../tensor/backend.js";
import { type AnsweredQuestion, answerQuestions } from "../testing/homework-answers.js";
import type { JudgeRequest, PolicyRuntime } from "../types.js";
import { calibrationOf } from "./measure-judge.js";
import { type Outcome, processRewardHead } from "./process-reward-head.js";
import { stepFeatures } from "./step-features.js";
import { wilsonInterval } from "./wilson-interval.js";

const step = (response: string): JudgeRequest => ({
  messages: [{ role: "user", content: "Go on" }],
  response,
  nextState: { kind: "closed", by: "idle" },
});
/** Episodes of one step in which "yes" ends well and "no" does not. */
const telling = (count: number): Outcome[] =>
  Array.from({ length: count }, (_, index) => ({ steps: [step(index % 2 ? "yes" : "no")], good: index % 2 === 1 }));

function shuffled<T>(items: readonly T[], seed: number): readonly T[] {
  const random = createRandom(seed);
  return items
    .map((item) => [random.next(), item] as const)
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item);
}

describe("a process reward head", () => {
  it("abstains until it has proved itself, and then judges as the outcomes taught it", async () => {
    const head = processRewardHead();
    expect((await head.judge(step("yes"))).value).toBeUndefined();
    head.restore(head.after(telling(4)));
    expect(head.proven).toBe(false);
    head.restore(head.after(telling(150)));
    expect(head.proven).toBe(true);
    expect((await head.judge(step("yes"))).value).toBe(1);
    const { value, confidence } = await head.judge(step("no"));
    expect(value).toBe(-1);
    expect(confidence).toBeGreaterThan(0.75);
    expect((await head.judge(step("something else"))).value).toBeUndefined();
    expect(head.reliability).toBeGreaterThan(0.8);
  });

  it("bets a step at a time: the first bet wins nothing, the second what the first taught", () => {
    const head = processRewardHead({ size: 64 });
    const [bad, good] = telling(2);
    const first = head.after([good!]);
    expect(first.evidence).toBe(0); // w = 0, so p is the rate of good outcomes itself
    const second = processRewardHead({ size: 64, state: first }).after([good!]);
    // after one good outcome b = log(2/1); w · x > 0 raises p above σ(b) = 2/3, so log p − log ⅔ > 0
    expect(second.evidence).toBeGreaterThan(0);
    expect(processRewardHead({ size: 64, state: first }).after([bad!]).evidence).toBeLessThan(0);
  });

  it("goes on from its state as if it had never stopped, and from no other size", () => {
    const whole = processRewardHead().after(telling(40));
    const half = processRewardHead().after(telling(20));
    const rest = processRewardHead({ state: JSON.parse(JSON.stringify(half)) }).after(telling(40).slice(20));
    expect(rest).toEqual(whole);
    expect(() => processRewardHead({ size: 8, state: half })).toThrow(/size 8 cannot go on from 1024/);
    expect(() => processRewardHead({ falseProof: 0 })).toThrow(/falseProof lies between 0 and 1/);
  });

  it("falls silent again when outcomes turn against it", () => {
    const head = processRewardHead();
    head.restore(head.after(telling(100)));
    expect(head.proven).toBe(true);
    head.restore(head.after(telling(40).map(({ steps, good }) => ({ steps, good: !good }))));
    expect(head.proven).toBe(false);
  });

  it("sees what tools showed and never what a user replied", () => {
    const of = (nextState: JudgeRequest["nextState"]) => stepFeatures({ ...step("x"), nextState }, 512);
    const result = { callId: "1", toolName: "t", content: "24", isError: false, durationMs: 1 };
    expect(of({ kind: "user", text: "wrong!" })).toEqual(of({ kind: "closed", by: "idle" }));
    expect(of({ kind: "tool", results: [result] })).not.toEqual(
      of({ kind: "tool", results: [{ ...result, isError: true }] }),
    );
  });
});

describe("a process reward head on the homework domain", () => {
  let policy: PolicyRuntime;
  let answered: readonly AnsweredQuestion[];
  const TRAINED = 160;

  beforeAll(async () => {
    await openBackend({ name: "wasm" });
    policy = await openPolicy(readPolicyFolder(EMBEDDED_POLICY));
    answered = await answerQuestions(policy, 280, 11);
  });
  afterAll(() => policy.dispose());

  const outcomes = (good: readonly boolean[]): Outcome[] =>
    good.map((one, index) => ({ steps: answered[index]!.steps, good: one }));
  const taught = () => answered.slice(0, TRAINED).map(({ success }) => success);

  it("predicts success on questions it was told nothing of better than the commoner outcome, and knows how sure it is", async () => {
    const head = processRewardHead();
    head.restore(head.after(outcomes(taught())));
    expect(head.proven).toBe(true);
    const unseen = answered.slice(TRAINED);
    const verdicts = await Promise.all(unseen.map(({ steps }) => head.judge(steps.at(-1)!)));
    const decided = unseen.flatMap(({ success }, index) => {
      const { value, confidence } = verdicts[index]!;
      return value === undefined ? [] : [{ confidence: confidence!, right: value === (success ? 1 : -1) }];
    });
    const right = wilsonInterval(decided.filter((one) => one.right).length, decided.length);
    const failures = unseen.filter(({ success }) => !success).length / unseen.length;
    expect(decided.length).toBeGreaterThan(0.6 * unseen.length);
    expect(right.low).toBeGreaterThan(Math.max(failures, 1 - failures));
    expect(calibrationOf(decided).expectedError).toBeLessThan(0.12);
    expect(Math.abs(head.reliability - right.value)).toBeLessThan(0.1);
  });

  it("abstains when outcomes are shuffled between episodes", () => {
    for (let seed = 0; seed < 10; seed++) {
      const head = processRewardHead();
      head.restore(head.after(outcomes(shuffled(taught(), seed))));
      expect(head.proven).toBe(false);
    }
  });
});
