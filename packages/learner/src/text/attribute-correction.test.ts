import { createAgent, memoryEventLog } from "@afterstate/core";
import { scriptedModel } from "@afterstate/core/testing";
import { describe, expect, it } from "vitest";
import { onlineLearner } from "../online/online-learner.js";
import { ruleHintReader } from "../signals/rule-hint-reader.js";
import { ruleJudge } from "../signals/rule-judge.js";
import { fakePolicy, fakePrompt, fakeTrainer } from "../testing/fake-policy.js";
import { attributeCorrection, type Correction } from "./attribute-correction.js";
import { learnedText } from "./learned-text.js";
import { type LearnedText, NO_TEXT, NO_TRIAL, type TextState } from "./learned-text-state.js";
import { wishesOf } from "./wish.js";

const own = (userId: string, wish: string): LearnedText => ({
  ...wishesOf(wish)[0]!,
  id: `${userId}-${wish}`,
  kind: "principle",
  scope: { userId },
  generation: 0,
  users: [userId],
  sessions: [],
  created: 0,
  confirmed: 0,
  trial: NO_TRIAL,
  state: "active",
});
const state = (users: readonly string[], ...texts: LearnedText[]): TextState => ({
  ...NO_TEXT,
  users: new Set(users),
  texts,
});
const correction = (reply: string, changes: Partial<Correction> = {}): Correction => ({
  hint: reply.replace(/^No, that's wrong\. /, ""),
  userId: "ann",
  request: {
    messages: [{ role: "user", content: "What is 48/2?" }],
    response: "The answer is 24.",
    nextState: { kind: "user", text: reply },
  },
  decisions: [],
  hasWeights: true,
  ...changes,
});
const layers = (reply: string, from: TextState, changes: Partial<Correction> = {}) =>
  attributeCorrection(correction(reply, changes), from, { shareAfter: 3 }).parts.map(({ layer }) => layer);
const CROWD = ["ann", "ben", "cleo", "dora"];
const tool = {
  name: "tool",
  choice: "none",
  alternatives: ["none", "calculator"],
  propensity: 0.5,
  features: {},
};

describe("a correction", () => {
  it("that tells of a person is that user's", () => {
    expect(layers("Please call me Anna.", state(["ann"]))).toEqual(["text-user"]);
  });

  it("of one user among several is that user's, and of the only user there is, the policy's", () => {
    expect(layers("Just the number, please.", state(CROWD))).toEqual(["text-user"]);
    expect(layers("Just the number, please.", state(["ann"]))).toEqual(["weights"]);
  });

  it("of the third user who wants it is the policy's, or everyone's text where there are no weights", () => {
    const wanted = state(CROWD, own("ben", "I only want the number."), own("cleo", "Only the number."));
    expect(layers("Just the number, please.", wanted)).toEqual(["weights"]);
    expect(layers("Just the number, please.", wanted, { hasWeights: false })).toEqual(["text-shared"]);
  });

  it("that half as many want otherwise stays the user's", () => {
    const disputed = state(
      [...CROWD, "eve"],
      own("ben", "Only the number."),
      own("cleo", "Only the number."),
      own("dora", "Use a complete sentence."),
      own("eve", "Use a complete sentence."),
    );
    expect(layers("Just the number, please.", disputed)).toEqual(["text-user"]);
  });

  it("of a wrong result is the policy's at once, but for what is a matter of taste", () => {
    const reply = "No, that's wrong. Use the calculator. Just the number.";
    const { parts, isWholeReason } = attributeCorrection(correction(reply), state(CROWD), { shareAfter: 3 });
    expect(parts.map(({ layer, text }) => [layer, text])).toEqual([
      ["weights", "Use the calculator."],
      ["text-user", "Just the number."],
    ]);
    expect(isWholeReason).toBe(false);
  });

  it("that names what a decision did not take, or not what it took, is that decision's", () => {
    expect(layers("Use the calculator.", state(CROWD), { decisions: [tool] })).toEqual(["decision"]);
    expect(layers("Use the calculator.", state(CROWD), { decisions: [{ ...tool, choice: "calculator" }] })).toEqual([
      "text-user",
    ]);
    expect(
      layers("Don't use the calculator.", state(CROWD), { decisions: [{ ...tool, choice: "calculator" }] }),
    ).toEqual(["decision"]);
  });
});

describe("a learner whose users want unlike things", () => {
  /** Ann wants bare numbers and Ben sentences; each session is a question, a reaction, and another day. */
  async function teach(attributes: boolean) {
    const log = memoryEventLog();
    const trainer = fakeTrainer(() => 0);
    const text = learnedText({ log });
    const wishes = { ann: "Just the number, please.", ben: "Please answer in a full sentence." };
    const model = scriptedModel(
      Array.from({ length: 100 }, () => (request) => {
        const content = request.messages.at(-1)!.content;
        const tokens = {
          promptIds: fakePrompt(request.messages, request.tools),
          ids: [1, 2],
          logProbs: [-1, -1],
          mask: [1, 1],
          temperature: 1,
        };
        const answer = content.includes("number")
          ? "24"
          : content.includes("sentence")
            ? "The answer is 24."
            : "Um, 24";
        return { text: answer, tokens, policyVersion: "base" };
      }),
    );
    const learner = onlineLearner({
      policy: fakePolicy(),
      trainer,
      log,
      judge: ruleJudge(),
      hintReader: ruleHintReader(),
      mode: "live",
      signals: "hybrid",
      batchEpisodes: 1,
      ...(attributes && { attribution: text }),
    });
    const agent = await createAgent({ model, plugins: [text, learner], log, seed: 1 });
    const wanted = { ann: "24", ben: "The answer is 24." };
    const right: boolean[] = [];
    for (const userId of ["ann", "ben"])
      await agent.stream({ prompt: "Hello", userId, sessionId: `hello-${userId}` }).result();
    for (let day = 0; day < 4; day++)
      for (const userId of ["ann", "ben"] as const) {
        const sessionId = `${userId}-${day}`;
        const { answer } = await agent.stream({ prompt: "What is 48/2?", sessionId, userId }).result();
        right.push(answer === wanted[userId]);
        const reaction = right.at(-1) ? "Thanks!" : wishes[userId];
        await agent.stream({ prompt: reaction, sessionId, userId }).result();
        await agent.closeSession(sessionId, "call");
        await learner.settled();
        await text.settled();
      }
    const report = text.report();
    await agent.close();
    const taught = trainer.requests.flatMap(({ samples }) => samples);
    const hinted = taught.filter(({ teacherPromptIds }) => teacherPromptIds !== undefined).length;
    const blamed = taught.filter(({ advantages }) => advantages.some((advantage) => advantage < 0)).length;
    return { right, hinted, blamed, report };
  }

  it("serves both, each by their own text, and pulls the shared weights neither way", async () => {
    const { right, hinted, blamed, report } = await teach(true);
    expect(right).toEqual([false, false, true, true, true, true, true, true]);
    expect([hinted, blamed]).toEqual([0, 0]);
    expect(report).toContain("corrections: text-user 2, text-shared 0, decision 0, weights 0");
  });

  it("teaches the weights every wish where nothing tells whose they are", async () => {
    const { hinted, blamed } = await teach(false);
    // The two wishes, and five of the answers that were given with them in sight (the last fills no batch). The second displeasure is what
    // the baseline has come to expect: it carries no advantage.
    expect([hinted, blamed]).toEqual([7, 1]);
  });
});
