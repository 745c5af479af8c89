import { withGuidance } from "@afterstate/core";
import { describe, expect, it } from "vitest";
import { EMPTY_CREDIT } from "../credit/step-credit.js";
import { fakePrompt } from "../testing/fake-policy.js";
import { assembleBatch, type BatchOptions } from "./assemble-batch.js";
import type { JudgedEpisode } from "./judged-episode.js";

const options: BatchOptions = {
  signals: "hybrid",
  credit: { credit: "step", gamma: 1, lambda: 0.95, decay: 0.9 },
  shuffledVotes: false,
  seed: 1,
  staleness: () => 0,
  generation: 0,
  absorbsGuidance: true,
  maxStaleness: 4,
  encodePrompt: fakePrompt,
  tools: [],
};

/** One question with one answer, and what came of it. */
function episode(
  question: string,
  { reward, hint, guidance }: { reward?: number; hint?: string; guidance?: string },
): JudgedEpisode {
  const messages = [{ role: "user", content: question }] as const;
  const seen = guidance === undefined ? messages : withGuidance(messages, guidance)!;
  const tokens = { promptIds: fakePrompt(seen, []), ids: [1, 2], logProbs: [-1, -1], mask: [1, 1], temperature: 1 };
  return {
    episodeId: question,
    sessionId: question,
    offset: 0,
    startedAt: 0,
    generation: 0,
    generationReady: 0,
    steps: [
      {
        of: { episodeId: question, stepIndex: 0 },
        kind: "answer",
        policyVersion: "base",
        messages,
        response: "24",
        tokens,
        nextStates: [],
        signals: [],
        signalIds: new Map(),
        reward,
        evidence: reward !== undefined,
        shaping: 0,
        hints: hint === undefined ? [] : [hint],
        ...(guidance !== undefined && { guidance }),
      },
    ],
  } as JudgedEpisode;
}
const text = (ids: readonly number[] | undefined) => ids && String.fromCodePoint(...ids);

describe("a batch with earlier episodes", async () => {
  const earlier = [episode("2*3?", { reward: -1 }), episode("4*5?", { reward: 1, hint: "Use my name." })];
  const batch = await assembleBatch(
    [episode("6*7?", { reward: 1 }), episode("8*9?", { reward: -1, hint: "Just the number, please." })],
    EMPTY_CREDIT,
    { ...options, replay: { episodes: earlier, hints: ["Use my name."] } },
  );

  it("teaches the new and the earlier ones what stands after it, each its own hint first", () => {
    const heard = "Just the number, please. Use my name.";
    expect(batch.hints).toEqual(["Just the number, please.", "Use my name."]);
    expect(batch.samples.map(({ teacherPromptIds }) => text(teacherPromptIds))).toEqual([
      `user: 6*7? ${heard}`,
      `user: 8*9? ${heard}`,
    ]);
    expect(batch.replayed.map(({ teacherPromptIds }) => text(teacherPromptIds))).toEqual([
      `user: 2*3? ${heard}`,
      "user: 4*5? Use my name. Just the number, please.",
    ]);
  });

  it("counts no reward a second time", async () => {
    expect(batch.samples.map(({ advantages }) => advantages)).toEqual([
      [1, 1],
      [-1, -1],
    ]);
    expect(batch.replayed.flatMap(({ advantages }) => advantages)).toEqual([0, 0, 0, 0]);
    expect(batch.credit).toEqual(
      (
        await assembleBatch(
          [episode("6*7?", { reward: 1 }), episode("8*9?", { reward: -1, hint: "Just the number, please." })],
          EMPTY_CREDIT,
          options,
        )
      ).credit,
    );
  });

  it("takes nothing from them where rewards alone are learned from, or votes are shuffled", async () => {
    for (const changes of [{ signals: "reward" }, { shuffledVotes: true }] as const) {
      const replay = { episodes: earlier, hints: ["Use my name."] };
      const rewarded = await assembleBatch([episode("6*7?", { reward: 1 })], EMPTY_CREDIT, {
        ...options,
        ...changes,
        replay,
      });
      expect(rewarded.replayed).toEqual([]);
      expect(rewarded.samples.map(({ teacherPromptIds }) => teacherPromptIds)).toEqual([undefined]);
    }
  });
});

describe("shuffled votes", () => {
  it("are of the batch and of the earlier episodes: a batch of one has others to draw from", async () => {
    const earlier = Array.from({ length: 15 }, (_, i) => episode(`1*${i}?`, { reward: -1 }));
    const voteOf = async (_: unknown, seed: number) => {
      const shuffled = { ...options, shuffledVotes: true, seed, replay: { episodes: earlier, hints: [] } };
      const { samples } = await assembleBatch([episode("6*7?", { reward: 1 })], EMPTY_CREDIT, shuffled);
      return samples[0]!.advantages[0]!;
    };
    const votes = await Promise.all(Array.from({ length: 200 }, voteOf));
    const own = votes.filter((vote) => vote > 0).length;
    expect(new Set(votes)).toEqual(new Set([1, -1]));
    // One in sixteen is its own: 12.5 of 200, and 3.4 either way.
    expect(Math.abs(own - 12.5)).toBeLessThan(4 * 3.4);
  });
});

describe("what was sampled with guidance", () => {
  const lesson = (episodes: JudgedEpisode[], changes: Partial<BatchOptions> = {}) =>
    assembleBatch(episodes, EMPTY_CREDIT, { ...options, ...changes });

  it("is taught to the policy that does not see it, and not credited", async () => {
    const { samples } = await lesson([episode("6*7?", { reward: 1, guidance: "Use my name." })]);
    expect(samples).toHaveLength(1);
    expect(text(samples[0]!.tokens.promptIds)).toBe("user: 6*7?");
    expect(text(samples[0]!.teacherPromptIds)).toBe("user: 6*7? Use my name.");
    expect(samples[0]!.advantages).toEqual([0, 0]);
  });

  it("is taught with the hint that came of it, and left out where it was judged bad and nobody said why", async () => {
    const { samples, dropped } = await lesson([
      episode("6*7?", { reward: -1, guidance: "Use my name.", hint: "Just the number, please." }),
      episode("8*9?", { reward: -1, guidance: "Use my name." }),
    ]);
    expect(samples.map(({ teacherPromptIds }) => text(teacherPromptIds))).toEqual([
      "user: 6*7? Use my name. Just the number, please.",
    ]);
    expect(dropped).toEqual([{ of: { episodeId: "8*9?", stepIndex: 0 }, reason: "nothingLearned" }]);
  });

  it("is credited, as it was sampled, where rewards alone are learned from", async () => {
    const { samples } = await lesson([episode("6*7?", { reward: 1, guidance: "Use my name." })], { signals: "reward" });
    expect(text(samples[0]!.tokens.promptIds)).toBe("user: 6*7? Use my name.");
    expect(samples[0]!.advantages).toEqual([1, 1]);
    expect(samples[0]!.teacherPromptIds).toBeUndefined();
  });
});
