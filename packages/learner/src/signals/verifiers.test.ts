import type { NextState } from "@afterstate/core";
import { describe, expect, it } from "vitest";
import type { JudgeRequest } from "../types.js";
import { ruleJudge } from "./rule-judge.js";
import { readTestReport, testReport } from "./test-report.js";
import { exactAnswer, responseForm, withVerifiers } from "./verifiers.js";

const answered = (response: string, nextState: NextState = { kind: "user", text: "ok" }): JudgeRequest => ({
  messages: [{ role: "user", content: "How much is 2,400 / 2?" }],
  response,
  nextState,
});
const shell = (...outputs: string[]): NextState => ({
  kind: "tool",
  results: outputs.map((content, index) => ({
    callId: `${index}`,
    toolName: "shell",
    content,
    isError: false,
    durationMs: 1,
  })),
});

describe("verifiers", () => {
  it("compare numbers as numbers and words as words", () => {
    const number = exactAnswer(() => 1200);
    expect(number.verify(answered("2,400 / 2 = 1,200."))).toBe(1);
    expect(number.verify(answered("1,200 or 1,300"))).toBe(-1);
    expect(number.verify(answered("I don't know."))).toBe(-1);
    expect(exactAnswer(() => "Canberra").verify(answered("It is CANBERRA!"))).toBe(1);
    expect(exactAnswer(() => "Oslo").verify(answered("Osloer"))).toBe(-1);
    expect(exactAnswer(() => undefined).verify(answered("1"))).toBeUndefined();
  });

  it("blame a form that is not kept, and do not praise one that is", async () => {
    expect(await responseForm(/^\d+$/).verify(answered("1200"))).toBeUndefined();
    expect(await responseForm(/^\d+$/).verify(answered("The answer is 1200."))).toBe(-1);
    const city = responseForm({ type: "object", required: ["city"], properties: { city: { type: "string" } } });
    expect(await city.verify(answered('{"city":"Oslo"}'))).toBeUndefined();
    expect(await city.verify(answered('{"city":1}'))).toBe(-1);
    expect(await city.verify(answered("Oslo"))).toBe(-1);
    expect(() => responseForm(/a/g)).toThrow(/leave out g and y/);
  });

  it("override a judge, and leave it to judge where they say nothing", async () => {
    const judge = withVerifiers([exactAnswer(({ response }) => (response === "?" ? undefined : 1200))], ruleJudge());
    expect((await judge.judge(answered("1300", { kind: "user", text: "Thanks!" }))).value).toBe(-1);
    expect((await judge.judge(answered("?", { kind: "user", text: "Thanks!" }))).value).toBe(1);
  });
});

describe("test reports", () => {
  it.each([
    [" Test Files  1 failed (3)\n      Tests  2 failed | 10 passed (12)\n   Start at  12:00:00", 10, 2],
    ["\u001b[2m      Tests \u001b[22m \u001b[1m\u001b[32m12 passed\u001b[39m\u001b[22m (12)", 12, 0],
    ["Test Suites: 1 failed, 1 total\nTests:       1 failed, 1 skipped, 4 passed, 6 total\nSnapshots:   0 total", 4, 1],
    ["FAILED test_a.py::test_b - assert 1 == 2\n===== 1 failed, 7 passed, 2 warnings in 0.31s =====", 7, 1],
    ["3 passed in 0.02s", 3, 0],
    ["==== 1 passed, 1 error in 1.20s ====", 1, 1],
    ["test result: ok. 6 passed; 0 failed; 0 ignored\ntest result: FAILED. 5 passed; 1 failed; 0 ignored", 11, 1],
    ["--- FAIL: TestAdd (0.00s)\nFAIL\nFAIL\texample.com/add\t0.004s\nok  \texample.com/sub\t0.003s", 1, 1],
    ["ok  \texample.com/add\t(cached)", 1, 0],
    ["# tests 4\n# pass 3\n# fail 1\n# cancelled 0", 3, 1],
    ["  3 passing (4ms)\n  1 failing", 3, 1],
    ["Tests:       10 passed, 10 total\nTests:       2 failed, 8 passed, 10 total", 8, 2],
  ])("read %j", (output, passed, failed) => {
    expect(readTestReport(output)).toEqual({ passed, failed });
  });

  it.each(["", "200 OK", "10 passed the exam", "Tests: 0 total", "no tests ran in 0.01s", "it failed in 3 cases"])(
    "find none in %j",
    (output) => {
      expect(readTestReport(output)).toBeUndefined();
    },
  );

  it("count every parallel run, and only those of tools that run tests", () => {
    const verifier = testReport({ tools: ["shell"] });
    expect(verifier.verify(answered("", shell("3 passed in 0.02s", "1 failed, 2 passed in 0.02s")))).toBe(-1);
    expect(verifier.verify(answered("", shell("3 passed in 0.02s", "done")))).toBe(1);
    expect(verifier.verify(answered("", shell("done")))).toBeUndefined();
    expect(testReport({ tools: ["run_tests"] }).verify(answered("", shell("3 passed in 0.02s")))).toBeUndefined();
  });

  it("are found at the end of an output of 10 MB without reading the rest", () => {
    expect(readTestReport(`${"x\n".repeat(5_000_000)}3 passed in 0.02s`)).toEqual({ passed: 3, failed: 0 });
  });
});
