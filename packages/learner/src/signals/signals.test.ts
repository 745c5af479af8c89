import type { LanguageModel, NextState } from "@afterstate/core";
import { describe, expect, it } from "vitest";
import type { JudgeRequest } from "../types.js";
import { readClauses } from "./clauses.js";
import { numbersIn } from "./correction-reader.js";
import { modelHintReader } from "./model-hint-reader.js";
import { readHint, readReward } from "./read-signals.js";
import { boundedHint, ruleHintReader } from "./rule-hint-reader.js";
import { majority, ruleJudge } from "./rule-judge.js";

const asked = (nextState: NextState): JudgeRequest => ({
  messages: [{ role: "user", content: "What is 48 / 2?" }],
  response: "The answer is 24.",
  nextState,
});
const toolResult = (isError: boolean): NextState => ({
  kind: "tool",
  results: [{ callId: "1", toolName: "calculator", content: "24", isError, durationMs: 1 }],
});

/** A model that gives the answers in turn and fails when they run out. */
function answering(...answers: string[]): LanguageModel & { readonly prompts: string[] } {
  const prompts: string[] = [];
  return {
    name: "answering",
    prompts,
    policyVersion: () => "answering",
    generate(request) {
      prompts.push(request.messages.map(({ content }) => content).join("\n"));
      const answer = answers.shift();
      return {
        async *[Symbol.asyncIterator]() {},
        async response() {
          if (answer === undefined) throw new Error("no answer is left");
          return {
            message: { role: "assistant", content: answer },
            finishReason: "stop",
            usage: { inputTokens: 1, outputTokens: 1 },
            policyVersion: "answering",
          };
        },
      };
    },
  };
}

describe("the rule judge", () => {
  it("takes the majority and abstains on a tie or without a vote", () => {
    expect(majority([1, 1, -1]).value).toBe(1);
    expect(majority([1, -1]).value).toBeUndefined();
    expect(majority([]).value).toBeUndefined();
    expect(majority([0]).value).toBe(0);
  });

  it("never rewards a tool result for having come without error", async () => {
    expect((await ruleJudge().judge(asked(toolResult(false)))).value).toBe(0);
    expect((await ruleJudge().judge(asked(toolResult(true)))).value).toBe(-1);
  });

  it("takes the sign of an explicit score and of an environment's reward, and abstains when the session just ended", async () => {
    expect((await ruleJudge().judge(asked({ kind: "feedback", score: -0.2 }))).value).toBe(-1);
    expect((await ruleJudge().judge(asked({ kind: "feedback", correction: "shorter" }))).value).toBeUndefined();
    expect((await ruleJudge().judge(asked({ kind: "environment", observation: "", reward: 3 }))).value).toBe(1);
    expect((await ruleJudge().judge(asked({ kind: "closed", by: "idle" }))).value).toBeUndefined();
  });

  it("does not read praise into a new question or a task", async () => {
    const { value } = await ruleJudge().judge(asked({ kind: "user", text: "What's the right way to boil an egg?" }));
    expect(value).toBe(1); // moved on without complaint: the correction reader's vote alone
    expect((await ruleJudge().judge(asked({ kind: "user", text: "what is 48/2??" }))).value).toBe(-1);
  });

  it("answers anything without throwing", async () => {
    for (const text of ["", "   ", "?", "🤷", "a".repeat(10_000), "no ".repeat(3000), "((((", "1,2,3,4", "'''", "…"])
      expect(await ruleJudge().judge(asked({ kind: "user", text }))).toBeDefined();
  });
});

describe("clauses and numbers", () => {
  it("cuts a reply where one thing ends and another begins", () => {
    const clauses = readClauses("No, it's 3.5, but use the calculator. And what's 5*5?");
    expect(clauses.map(({ kind, text }) => `${kind}: ${text}`)).toEqual([
      "verdict: No",
      "statement: it's 3.5",
      "instruction: use the calculator",
      "question: And what's 5*5",
    ]);
  });

  it("reads numbers in digits and words", () => {
    expect(numbersIn("1,440 or 3.5, twenty-four, nine")).toEqual([1440, 3.5, 24, 9]);
  });
});

describe("hint readers", () => {
  it("keep instructions in the user's own words and drop verdicts, thanks and new questions", async () => {
    const text = "No, that's wrong! only the number, please. And use my name!! Thanks. What is 5 + 5?";
    expect(await ruleHintReader().read(asked({ kind: "user", text }))).toBe("Only the number, please. Use my name.");
    expect(await ruleHintReader().read(asked({ kind: "user", text: "No. What is 5+5?" }))).toBeUndefined();
    expect(await ruleHintReader().read(asked(toolResult(true)))).toBeUndefined();
  });

  it("bound a hint to whole sentences", () => {
    expect(boundedHint(["Use my name.", `Use ${"very ".repeat(100)}long words.`])).toBe("Use my name.");
    expect(boundedHint([`Use ${"very ".repeat(100)}long words.`])!.length).toBeLessThanOrEqual(301);
    expect(boundedHint([])).toBeUndefined();
  });

  it("ask a model, and read none when it says so or fails", async () => {
    const reply: NextState = { kind: "user", text: "only the number" };
    expect(
      await modelHintReader({ model: answering("give only the number"), reliability: 0.9 }).read(asked(reply)),
    ).toBe("Give only the number.");
    expect(await modelHintReader({ model: answering("NONE"), reliability: 0.9 }).read(asked(reply))).toBeUndefined();
    expect(await modelHintReader({ model: answering(), reliability: 0.9 }).read(asked(reply))).toBeUndefined();
  });
});

describe("signals", () => {
  it("take scores, corrections and rewards as given, with reliability 1", async () => {
    const rewardOf = (nextState: NextState) => readReward(ruleJudge(), asked(nextState));
    const hintOf = (nextState: NextState) => readHint(ruleHintReader(), asked(nextState));
    const feedback: NextState = { kind: "feedback", score: 0.5, correction: "say the date first" };
    expect(await rewardOf(feedback)).toEqual({ kind: "reward", source: "feedback", value: 1, reliability: 1 });
    expect(await hintOf(feedback)).toMatchObject({ source: "feedback", text: "Say the date first.", reliability: 1 });
    expect(await rewardOf({ kind: "environment", observation: "", reward: -2.5 })).toEqual({
      kind: "reward",
      source: "verifier:environment",
      value: -2.5,
      reliability: 1,
    });
    expect(await rewardOf({ kind: "closed", by: "call" })).toBeUndefined();
    expect(await rewardOf({ kind: "user", text: "ok" })).toBeUndefined();
    expect(await hintOf({ kind: "user", text: "ok" })).toBeUndefined();
  });
});
