import type { AgentEvent, NextState, Signal } from "@afterstate/core";
import { describe, expect, it } from "vitest";
import { costSignal } from "../signals/cost-signal.js";
import { ruleHintReader } from "../signals/rule-hint-reader.js";
import { ruleJudge } from "../signals/rule-judge.js";
import { testReport } from "../signals/test-report.js";
import type { FoldedEpisode } from "./episode-fold.js";
import { judgeEpisode, type SignalReaders } from "./judged-episode.js";

const tool = (...contents: readonly (readonly [string, boolean])[]): NextState => ({
  kind: "tool",
  results: contents.map(([content, isError], index) => ({
    callId: `${index}`,
    toolName: "shell",
    content,
    isError,
    durationMs: 1,
  })),
});

function episode(nextStates: readonly NextState[], known: ReadonlyMap<string, Signal> = new Map()): FoldedEpisode {
  return {
    episodeId: "s/0",
    sessionId: "s",
    offset: 0,
    startedAt: 0,
    steps: [
      {
        of: { episodeId: "s/0", stepIndex: 0 },
        kind: "tool",
        policyVersion: "base",
        messages: [{ role: "user", content: "Run the tests" }],
        response: "I run them.",
        nextStates,
        signals: [...known.values()],
        signalIds: known,
        cost: { inputTokens: 500, outputTokens: 500, dollars: 0, durationMs: 1 },
      },
    ],
  };
}

async function judge(asked: FoldedEpisode, readers: Partial<SignalReaders> = {}) {
  const events: AgentEvent[] = [];
  const failures: string[] = [];
  const { steps } = await judgeEpisode(
    asked,
    { judge: ruleJudge(), hintReaders: [ruleHintReader()], readsHints: true, tools: [], ...readers },
    {
      now: () => 7,
      emit: async (event) => void events.push(event),
      onFailure: async (_, message) => void failures.push(message),
    },
  );
  return { step: steps[0]!, ids: events.map(({ id }) => id.replace("s/0#signal-0-", "")), events, failures };
}

describe("the signals of an episode's steps", () => {
  it("hold one verdict for each parallel result, so that a failure beside successes counts", async () => {
    const { step, ids } = await judge(episode([tool(["ok", false], ["no such file", true], ["ok", false])]));
    expect(ids).toEqual(["0-reward-0", "0-reward-1", "0-reward-2"]);
    expect(step.reward).toBeCloseTo(-1 / 3, 12);
    expect(step.evidence).toBe(true);
    expect((await judge(episode([tool(["ok", false])]))).ids).toEqual(["0-reward"]);
  });

  it("give a verifier the last word over a judge, and feedback over both", async () => {
    const verifiers = [testReport({ tools: ["shell"] })];
    const failed = tool(["1 failed, 2 passed in 0.1s", false]);
    const { step, ids, events } = await judge(episode([failed]), { verifiers });
    expect(ids).toEqual(["0-reward", "0-verifier:tests"]);
    expect(events[1]).toMatchObject({ signal: { source: "verifier:tests", value: -1, reliability: 1 } });
    expect(step.reward).toBe(-1);
    expect((await judge(episode([tool(["3 passed in 0.1s", false])]), { verifiers })).step.reward).toBe(1);
    const told = await judge(episode([failed, { kind: "feedback", score: 1 }]), { verifiers });
    expect(told.step.reward).toBe(1);
  });

  it("add what a step cost, and only where that is asked for", async () => {
    const cost = costSignal({ tokensPerUnit: 1_000, weight: 0.5 });
    const { step, ids } = await judge(episode([tool(["ok", false])]), { cost });
    expect(ids).toEqual(["0-reward", "cost"]);
    expect(step.shaping).toBeCloseTo(-0.5 * (1 - Math.exp(-1)), 12);
    expect(step.evidence).toBe(false);
    expect((await judge(episode([tool(["ok", false])]))).step.shaping).toBe(0);
  });

  it("are each told once, and not read again where the log has them", async () => {
    const first = await judge(episode([{ kind: "user", text: "No. Use the calculator." }]));
    expect(first.ids).toEqual(["0-reward", "0-hint"]);
    const known = new Map(first.events.flatMap((event) => (event.type === "signal" ? [[event.id, event.signal]] : [])));
    const again = await judge(episode([{ kind: "user", text: "Thanks!" }], known as ReadonlyMap<string, Signal>));
    expect(again.ids).toEqual([]);
    expect(again.step).toMatchObject({ reward: -1, hints: ["Use the calculator."] });
  });

  it("hold hints of several readers, each once and measured, those that do no good with the reason", async () => {
    const reading = (text: string) => ({ name: "other", reliability: 0.5, read: async () => text });
    const hintReaders = [ruleHintReader(), reading("Please use the calculator."), reading("The sky is blue.")];
    const seen: (number | undefined)[] = [];
    const hintAcceptance = {
      async measure({ hint, reward }: { readonly hint: string; readonly reward: number | undefined }) {
        seen.push(reward);
        if (hint === "Please use the calculator.") throw new Error("not to be measured");
        return hint.includes("sky") ? { effect: 0.1, rejected: "it does no good" } : { effect: -2 };
      },
    };
    const asked = episode([{ kind: "user", text: "No. Use the calculator." }]);
    const { step, ids, events } = await judge(asked, { hintReaders, hintAcceptance });
    expect(ids).toEqual(["0-reward", "0-hint", "0-hint-1", "0-hint-2"]);
    expect(step.hints).toEqual(["Use the calculator."]);
    expect(events[1]).toMatchObject({ signal: { text: "Use the calculator.", effect: -2 } });
    expect(events[3]).toMatchObject({ signal: { text: "The sky is blue.", effect: 0.1, rejected: "it does no good" } });
    expect(seen).toEqual([-1, -1, -1]);
  });

  it("go on where a reader fails, and tell of it", async () => {
    const broken = { name: "broken", verify: () => Promise.reject(new Error("no disk")) };
    const { step, failures } = await judge(episode([{ kind: "user", text: "Thanks!" }]), { verifiers: [broken] });
    expect(step.reward).toBe(1);
    expect(failures).toEqual(["reading the signal 0-verifier:broken of a step failed: no disk"]);
  });
});
