import type { Message } from "@afterstate/core";
import { describe, expect, it } from "vitest";
import type { CreditName } from "../credit/credited-trajectory.js";
import { EMPTY_CREDIT } from "../credit/step-credit.js";
import { assembleBatch } from "./assemble-batch.js";
import type { JudgedEpisode, JudgedStep } from "./judged-episode.js";

const ask = (content: string): Message => ({ role: "user", content });
const TOKENS = { promptIds: [1], ids: [2, 3], logProbs: [-1, -1], mask: [1, 0], temperature: 1 };

/** A question, a tool call and an answer, which is judged. */
function episode(id: string, question: string, reward: number, call = "search"): JudgedEpisode {
  const called: Message = { role: "assistant", content: call };
  const step = (stepIndex: number, messages: readonly Message[], more: Partial<JudgedStep>): JudgedStep => ({
    of: { episodeId: id, stepIndex },
    kind: "tool",
    policyVersion: "base",
    messages,
    response: "",
    tokens: TOKENS,
    nextStates: [],
    signals: [],
    signalIds: new Map(),
    reward: undefined,
    evidence: false,
    shaping: 0,
    hints: [],
    ...more,
  });
  const steps = [
    step(0, [ask(question)], {}),
    step(1, [ask(question), called], { kind: "answer", reward, evidence: true }),
  ];
  return { episodeId: id, sessionId: id, offset: 0, steps } as unknown as JudgedEpisode;
}

async function advantages(credit: CreditName, episodes: readonly JudgedEpisode[]) {
  const { samples } = await assembleBatch(episodes, EMPTY_CREDIT, {
    signals: "reward",
    credit: { credit, gamma: 1, lambda: 1, decay: 0.9 },
    shuffledVotes: false,
    seed: 1,
    staleness: () => 0,
    generation: 0,
    absorbsGuidance: true,
    maxStaleness: 4,
    encodePrompt: () => [],
    tools: [],
  });
  return Object.fromEntries(samples.map(({ of, advantages }) => [`${of.episodeId}${of.stepIndex}`, advantages]));
}

describe("live episodes", () => {
  const batch = [episode("a", "2+2?", 1), episode("b", "2+2?", -1), episode("c", "3+3?", -1)];

  it("that began with the same question are compared, and one that is alone has its baseline", async () => {
    const found = await advantages("group", batch);
    // (±1 − 0) / √2, and −1 less a baseline that has seen nothing.
    expect(found.a0![0]).toBeCloseTo(Math.SQRT1_2, 5);
    expect(found.b1![0]).toBeCloseTo(-Math.SQRT1_2, 5);
    expect(found.c0).toEqual([-1, 0]);
  });

  it("have steps compared where they saw the same", async () => {
    const found = await advantages("anchor", [
      episode("a", "2+2?", 1, "add"),
      episode("b", "2+2?", -1, "guess"),
      episode("d", "2+2?", -1, "add"),
    ]);
    // After "add" once well and once badly: those two are compared, and "guess" saw what nobody else did.
    const [a, b, d] = [found.a1![0]! - found.a0![0]!, found.b1![0]!, found.d1![0]!];
    expect(b).toBeCloseTo(d + Math.SQRT1_2, 5);
    expect(a).not.toBeCloseTo(0, 2);
  });

  it.each(["broadcast", "token", "step", "hierarchical", "group", "leave-one-out", "anchor"] as const)(
    "get credit by %s, and none on what they did not sample",
    async (credit) => {
      const found = await advantages(credit, batch);
      expect(Object.keys(found).length).toBeGreaterThan(2);
      for (const tokens of Object.values(found)) expect([tokens[0] !== 0, tokens[1]]).toEqual([true, 0]);
    },
  );
});
