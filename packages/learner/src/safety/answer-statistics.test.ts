import type { Signal } from "@afterstate/core";
import { describe, expect, it } from "vitest";
import { judgedEpisode } from "../testing/judged-episodes.js";
import { answerStatistics, repetitionOf } from "./answer-statistics.js";

const reward = (source: string, value: number): Signal => ({ kind: "reward", source, value, reliability: 1 });
const asked = [{ role: "user", content: "What is 48 divided by 2 please?" }] as const;

describe("the statistics of answers", () => {
  it("count words, rewards, replies that ask again, and judges who differ", () => {
    const episodes = [
      judgedEpisode("e0", "u", [
        { kind: "tool", response: '{"name":"calculator"}' },
        {
          response: "The answer is 24",
          messages: asked,
          reward: -1,
          nextStates: [{ kind: "user", text: "What is 48 divided by 2?" }],
          signals: [reward("rules", 1), reward("feedback", -1)],
        },
      ]),
      judgedEpisode("e1", "u", [
        {
          response: "It is 24",
          messages: asked,
          reward: 1,
          nextStates: [{ kind: "user", text: "Thanks! What about 7 times 6?" }],
          signals: [reward("rules", 1), reward("feedback", 1)],
        },
      ]),
    ];
    expect(answerStatistics(episodes)).toEqual({
      reward: 0,
      words: 3.5,
      repetition: 0,
      replies: 2,
      reasks: 1,
      compared: 2,
      conflicts: 1,
    });
    expect(answerStatistics([])).toEqual({ replies: 0, reasks: 0, compared: 0, conflicts: 0 });
  });

  it("measure repetition by trigrams that came before", () => {
    // so good so good so good so: trigrams sgs gsg sgs gsg sgs, 2 of 5 are new
    expect(repetitionOf("so good so good so good so")).toBeCloseTo(0.6, 12);
    expect(repetitionOf("each word of this one is new")).toBe(0);
    expect(repetitionOf("24")).toBe(0);
  });
});
