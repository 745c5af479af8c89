import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { JudgeRequest } from "../types.js";
import { ruleHintReader } from "./rule-hint-reader.js";
import { ruleJudge } from "./rule-judge.js";

interface LabelledReply {
  readonly request: string;
  readonly response: string;
  readonly reply: string;
  /** 0: no judgement in it; a judge abstains or says 0. */
  readonly label: -1 | 0 | 1;
  readonly hint?: string;
}

function readLabelled(half: string): LabelledReply[] {
  const text = readFileSync(new URL(`./data/replies-${half}.jsonl`, import.meta.url), "utf8");
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as LabelledReply);
}

async function measure(half: string) {
  const replies = readLabelled(half);
  const misses: string[] = [];
  const right = { verdict: 0, hintPresence: 0, hintText: 0 };
  for (const { request, response, reply, label, hint } of replies) {
    const asked: JudgeRequest = {
      messages: [{ role: "user", content: request }],
      response,
      nextState: { kind: "user", text: reply },
    };
    const { value, votes } = await ruleJudge().judge(asked);
    const read = await ruleHintReader().read(asked);
    if ((value ?? 0) === label) right.verdict++;
    else misses.push(`"${response}" "${reply}": label ${label}, votes [${votes}]`);
    if ((read === undefined) === (hint === undefined)) right.hintPresence++;
    if (read === hint) right.hintText++;
    else misses.push(`"${reply}": hint ${hint}, read ${read}`);
  }
  const share = (count: number) => count / replies.length;
  return {
    replies: replies.length,
    verdict: share(right.verdict),
    hintPresence: share(right.hintPresence),
    hintText: share(right.hintText),
    misses,
  };
}

describe("the rule readers on labelled replies", () => {
  it("judge and read hints well on the half that the lexicon was made with", async () => {
    const measured = await measure("development");
    console.log(measured);
    expect(measured.verdict).toBeGreaterThan(0.9);
    expect(measured.hintText).toBeGreaterThan(0.9);
  });

  it("judge and read hints nearly as well on the half that was held out", async () => {
    const { misses, ...measured } = await measure("held-out");
    console.log({ ...measured, misses: misses.length });
    expect(measured.verdict).toBeCloseTo(ruleJudge().reliability, 2);
    expect(measured.hintPresence).toBeGreaterThan(0.9);
    expect(measured.hintText).toBeCloseTo(ruleHintReader().reliability, 2);
  });
});
