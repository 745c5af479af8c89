import { createAgent, memoryEventLog } from "@afterstate/core";
import { scriptedModel } from "@afterstate/core/testing";
import { describe, expect, it } from "vitest";
import { EMPTY_CREDIT } from "../credit/step-credit.js";
import { costSignal } from "../signals/cost-signal.js";
import { ruleJudge } from "../signals/rule-judge.js";
import { fakePrompt } from "../testing/fake-policy.js";
import { assembleBatch } from "./assemble-batch.js";
import { type FoldedEpisode, foldEpisodes } from "./episode-fold.js";
import { judgeEpisode } from "./judged-episode.js";

/** An episode of an agent that answers with a model's usage, as the log tells of it. */
async function answeredEpisode(reply: string): Promise<FoldedEpisode> {
  const log = memoryEventLog();
  const usage = { inputTokens: 900, outputTokens: 100, dollars: 0.01 };
  const tokens = { promptIds: [1], ids: [1, 2], logProbs: [-1, -1], mask: [1, 1], temperature: 1 };
  const model = scriptedModel([{ text: "24", usage, tokens }, { text: "You're welcome." }]);
  const agent = await createAgent({ model, log, seed: 1 });
  await agent.stream({ prompt: "What is 48 / 2?", sessionId: "s" }).result();
  await agent.stream({ prompt: reply, sessionId: "s" }).result();
  await agent.close();
  const fold = foldEpisodes(() => false);
  for await (const record of log.read(0)) fold.take(record);
  return fold.takeReady()[0]!;
}

const options = {
  signals: "reward",
  credit: { credit: "step", gamma: 1, lambda: 1, decay: 0.9 },
  shuffledVotes: false,
  seed: 1,
  staleness: () => 0,
  maxStaleness: 1,
  generation: 0,
  absorbsGuidance: true,
  encodePrompt: fakePrompt,
  tools: [],
} as const;

describe("what a step cost", () => {
  it("is read off the log, and taken off the credit of a step that was judged where that is asked for", async () => {
    const episode = await answeredEpisode("Thanks!");
    expect(episode.steps[0]!.cost).toMatchObject({ inputTokens: 900, outputTokens: 100, dollars: 0.01 });
    const free = { inputTokens: 0, outputTokens: 0, dollars: 0, durationMs: 0 };
    const gift = { ...episode, episodeId: "t/0", steps: episode.steps.map((step) => ({ ...step, cost: free })) };
    const creditsWith = async (cost?: ReturnType<typeof costSignal>) => {
      const readers = { judge: ruleJudge(), hintReaders: [], readsHints: false, tools: [], ...(cost && { cost }) };
      const hooks = { now: () => 0, emit: async () => {}, onFailure: async () => {} };
      const judged = [await judgeEpisode(episode, readers, hooks), await judgeEpisode(gift, readers, hooks)];
      const [dear, cheap] = (await assembleBatch(judged, EMPTY_CREDIT, options)).samples.map(
        ({ advantages }) => advantages[0]!,
      );
      return dear! / cheap!;
    };
    expect(await creditsWith()).toBeCloseTo(1, 9);
    // one unit of tokens: 1 − .2 (1 − e⁻¹) beside 1
    expect(await creditsWith(costSignal({ tokensPerUnit: 1_000, weight: 0.2 }))).toBeCloseTo(0.8736, 4);
  });
});
