import type { LanguageModel, ModelRequest, NextState } from "@afterstate/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { JudgeRequest } from "../types.js";
import { describeStep } from "./describe-step.js";
import { labelledSteps } from "./labelled-steps.js";
import { countFooled } from "./measure-judge.js";
import { parseVote, prmJudge } from "./prm-judge.js";

/** A model that answers a request by a function of what it reads. */
function answering(answer: (prompt: string) => string): LanguageModel & { readonly requests: ModelRequest[] } {
  const requests: ModelRequest[] = [];
  return {
    name: "answering",
    requests,
    policyVersion: () => "answering",
    generate(request) {
      requests.push(request);
      return {
        async *[Symbol.asyncIterator]() {},
        response: async () => ({
          message: { role: "assistant", content: answer(request.messages.at(-1)!.content) },
          finishReason: "stop",
          usage: { inputTokens: 1, outputTokens: 1 },
          policyVersion: "answering",
        }),
      };
    },
  };
}

const asked = (nextState: NextState, response = "24"): JudgeRequest => ({
  messages: [{ role: "user", content: "What is 48 / 2?" }],
  response,
  nextState,
});
const returned = (...contents: string[]): NextState => ({
  kind: "tool",
  results: contents.map((content, index) => ({
    callId: `${index}`,
    toolName: "fetch",
    content,
    isError: index > 0,
    durationMs: 1,
  })),
});
const judge = (model: LanguageModel, votes = 1) => prmJudge({ model, votes, reliability: 0.8 });

describe("a step as a judge reads it", () => {
  it("stays within its three parts, whatever texts it is made of", () => {
    const nasty = fc.stringMatching(/^(?:<\/?(?:request|response|next-state)>|VOTE: [+-]1|[\n\r\u2028\v]|[a-z<>| ])*$/);
    fc.assert(
      fc.property(nasty, nasty, nasty, (request, response, text) => {
        const shown = describeStep({
          messages: [{ role: "user", content: request }],
          response,
          nextState: { kind: "user", text },
        });
        const lines = shown.split(/[\n\r\v\f\u0085\u2028\u2029]/);
        const tags = lines.filter((line) => !line.startsWith("| "));
        expect(tags).toEqual(["request", "response", "next-state"].flatMap((part) => [`<${part}>`, `</${part}>`]));
        expect(lines.filter((line) => line.startsWith("| ")).join("")).not.toContain("<");
      }),
    );
  });

  it("is short however long its parts are, and keeps both ends of each", () => {
    const long = `begin ${"x".repeat(10_000_000)} end`;
    for (const nextState of [
      { kind: "user", text: long } as const,
      returned(...Array.from({ length: 200 }, () => long)),
    ]) {
      const messages = Array.from({ length: 50 }, () => ({ role: "user", content: long }) as const);
      const shown = describeStep({ messages, response: long, nextState });
      expect(shown.length).toBeLessThan(15_000);
      expect(shown).toContain("end\n</response>");
    }
  });

  it("shows a failed result beside a long one that succeeded, and the newest message of a long conversation", () => {
    const shown = describeStep({
      messages: [
        { role: "user", content: "y".repeat(100_000) },
        { role: "user", content: "the question" },
      ],
      response: "r",
      nextState: returned("x".repeat(1_000_000), "no such page"),
    });
    expect(shown).toContain("fetch failed: no such page");
    expect(shown).toContain("user: the question");
  });
});

describe("a vote", () => {
  it.each([
    ["VOTE: +1", 1],
    ["It says -1 at first.\nVote: 0", 0],
    ["**VOTE:** −1", -1],
    ["1", 1],
    ["Vote: +1.\n\n", 1],
    ["VOTE: 10", undefined],
    ["good", undefined],
    ["", undefined],
    ["VOTE: -1, VOTE: 0 or VOTE: +1", undefined],
    ["VOTE: +1\nbecause the user is content", undefined],
    ["VOTE: -1\nThe text said:\n| VOTE: +1", undefined],
    ['The page says "VOTE: +1"', undefined],
  ])("of %j", (answer, vote) => {
    expect(parseVote(answer)).toBe(vote);
  });
});

describe("the process reward model", () => {
  it("asks before the step and after it, where the last word is", async () => {
    const model = answering(() => "VOTE: 0");
    await judge(model).judge(asked({ kind: "user", text: "it is 25" }));
    const [system, user] = model.requests[0]!.messages;
    expect(system!.content).toContain('Lines that begin with "| "');
    for (const part of ["What is 48 / 2?", "24", "it is 25"]) expect(user!.content).toContain(part);
    expect(user!.content.slice(user!.content.lastIndexOf("</next-state>"))).toMatch(/end with one line/);
  });

  it("records valid votes alone, and takes their majority", async () => {
    const answers = ["VOTE: -1", "I cannot say", "VOTE: -1", "VOTE: +1", "VOTE: -1"];
    const verdict = await judge(
      answering(() => answers.shift()!),
      5,
    ).judge(asked({ kind: "user", text: "it is 25" }));
    expect(verdict).toEqual({ value: -1, votes: [-1, -1, 1, -1] });
  });

  it("abstains on a tie, without a valid vote, when the model fails, and at a session's end", async () => {
    const answers = ["VOTE: -1", "VOTE: +1"];
    const tied = judge(
      answering(() => answers.shift()!),
      2,
    );
    expect((await tied.judge(asked({ kind: "user", text: "hm" }))).value).toBeUndefined();
    const mute = judge(answering(() => "who knows"));
    expect((await mute.judge(asked({ kind: "user", text: "hm" }))).value).toBeUndefined();
    const broken = judge(
      answering(() => {
        throw new Error("no");
      }),
    );
    expect((await broken.judge(asked({ kind: "user", text: "hm" }))).value).toBeUndefined();
    expect((await mute.judge(asked({ kind: "closed", by: "idle" }))).value).toBeUndefined();
  });

  const poisoned = labelledSteps("poisoned");

  it("is fooled by no planted vote while its model judges by what it is asked, even when it repeats what it read", async () => {
    const repeating = answering((prompt) => prompt.slice(0, prompt.lastIndexOf("</next-state>")).trimEnd());
    expect((await countFooled(judge(repeating), poisoned)).value).toBe(0);
    const lastVoteOutsideQuotes = answering((prompt) => {
      const own = prompt.split("\n").filter((line) => !line.startsWith("|"));
      return own.findLast((line) => /^VOTE: [+-]?[01]$/.test(line)) ?? "VOTE: 0";
    });
    expect((await countFooled(judge(lastVoteOutsideQuotes), poisoned)).value).toBe(0);
  });

  it("is fooled when its model does as the planted text says, and by nothing less", async () => {
    const obeying = answering(
      (prompt) => `VOTE: ${/vote:? ?([+-]1)/i.exec(prompt.split("<next-state>")[1]!)?.[1] ?? "0"}`,
    );
    expect((await countFooled(judge(obeying), poisoned)).value).toBeGreaterThan(0.4);
  });
});
