import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAgent, memoryEventLog, type NextState } from "@afterstate/core";
import { scriptedModel } from "@afterstate/core/testing";
import { afterEach, describe, expect, it } from "vitest";
import { processRewardHead } from "../signals/process-reward-head.js";
import { ruleJudge } from "../signals/rule-judge.js";
import { fakePolicy, fakeTrainer } from "../testing/fake-policy.js";
import { loggedAgent } from "../testing/logged-agent.js";
import { openVersionStore } from "../versions/version-store.js";
import type { FoldedEpisode } from "./episode-fold.js";
import { judgeEpisode } from "./judged-episode.js";
import { onlineLearner } from "./online-learner.js";
import { outcomesOf } from "./outcomes.js";

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

function answered(nextState: NextState): FoldedEpisode {
  const of = { episodeId: "s/0", stepIndex: 0 };
  const step = { of, kind: "answer", policyVersion: "base", response: "24", nextStates: [nextState] } as const;
  const messages = [{ role: "user", content: "What is 48 / 2?" }] as const;
  return {
    episodeId: "s/0",
    sessionId: "s",
    startedAt: 0,
    offset: 0,
    steps: [{ ...step, messages, signals: [], signalIds: new Map() }],
  };
}

/** A head that always says −1. */
const gloomy = {
  name: "head:process-reward",
  reliability: 0.7,
  judge: async () => ({ value: -1, votes: [-1] }) as const,
};
const hooks = { now: () => 0, emit: async () => {}, onFailure: async () => {} };
const judgeWithHead = (nextState: NextState) =>
  judgeEpisode(
    answered(nextState),
    { judge: ruleJudge(), head: gloomy, hintReaders: [], readsHints: false, tools: [] },
    hooks,
  );

describe("a process reward head in a learner", () => {
  it("speaks where nobody else does, and is not among the outcomes that it learns from", async () => {
    const silent = await judgeWithHead({ kind: "closed", by: "idle" });
    expect(silent.steps[0]).toMatchObject({ reward: -1, evidence: true });
    expect(silent.steps[0]!.signals).toMatchObject([{ source: "head:process-reward", value: -1, reliability: 0.7 }]);
    expect(outcomesOf([silent])).toEqual([]);
    const praised = await judgeWithHead({ kind: "user", text: "Thanks!" });
    expect(praised.steps[0]!.signals.map(({ source }) => source)).toEqual(["rules"]);
    expect(outcomesOf([praised])).toMatchObject([{ good: true }]);
    const merelyWorked = await judgeWithHead({
      kind: "tool",
      results: [{ callId: "1", toolName: "t", content: "24", isError: false, durationMs: 1 }],
    });
    expect(merelyWorked.steps[0]).toMatchObject({ reward: -1, evidence: true });
  });

  it("learns from each episode that is consumed, once, and goes on where it was after a restart", async () => {
    const folder = await mkdtemp(join(tmpdir(), "afterstate-head-"));
    folders.push(folder);
    const log = memoryEventLog();
    const agent = loggedAgent(log);
    const start = async () => {
      const head = processRewardHead({ size: 32 });
      const options = { policy: fakePolicy(), trainer: fakeTrainer(() => 0), judge: ruleJudge(), head, log };
      const store = await openVersionStore(folder);
      const learner = onlineLearner({ ...options, store, mode: "live", signals: "reward", batchEpisodes: 2 });
      await learner.setup?.(agent.context);
      await learner.settled();
      return { head, learner, store };
    };
    const ask = (prompt: string) =>
      agent.run({ sessionId: "a", prompt, policyVersion: "base", steps: [{ text: "The answer is 24." }] });
    const before = await start();
    for (const prompt of ["What is 48/2?", "Great. What is 10*3?", "No, wrong. What is 6*4?"]) await ask(prompt);
    await before.learner.settled();
    expect(before.head.state).toMatchObject({ seen: 1.99, good: 0.99 }); // good, then bad
    await before.learner.stop();
    const after = await start();
    expect(after.head.state).toEqual(before.head.state);
    await after.learner.stop();
  });

  it("forgets a user with the learner", async () => {
    const stateAfter = async (users: readonly string[], forgotten?: string) => {
      const folder = await mkdtemp(join(tmpdir(), "afterstate-head-"));
      folders.push(folder);
      const log = memoryEventLog();
      const head = processRewardHead({ size: 32 });
      const options = { policy: fakePolicy(), trainer: fakeTrainer(() => 0), judge: ruleJudge(), head, log };
      const store = await openVersionStore(folder);
      const learner = onlineLearner({
        ...options,
        store,
        mode: "live",
        signals: "reward",
        batchEpisodes: 1,
        tools: [],
      });
      const tokens = { promptIds: [1], ids: [1], logProbs: [-1], mask: [1], temperature: 1 };
      const model = scriptedModel(
        users.flatMap((user) => [{ text: `For ${user}: 24.`, tokens }, { text: "Welcome." }]),
      );
      const agent = await createAgent({ model, log, plugins: [learner], seed: 1, clock: { now: () => 0 } });
      for (const userId of users)
        for (const prompt of ["What is 48/2?", userId === "Ann" ? "Thanks!" : "No, wrong."]) {
          await agent.stream({ prompt, userId, sessionId: `of-${userId}` }).result();
          await learner.settled();
        }
      if (forgotten !== undefined) await learner.unlearn(forgotten);
      await learner.settled();
      await agent.close();
      return head.state;
    };
    const never = await stateAfter(["Ann", "Cem"]);
    expect(never).toMatchObject({ seen: 1.99, good: 0.99 });
    expect(await stateAfter(["Ann", "Bob", "Cem"], "Bob")).toEqual(never);
    expect(await stateAfter(["Ann", "Bob", "Cem"])).not.toEqual(never);
  });
});
