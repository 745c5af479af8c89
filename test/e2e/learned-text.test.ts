import { createAgent, createRandom, memoryEventLog, mixSeed } from "@afterstate/core";
import {
  EMBEDDED_POLICY,
  learnedText,
  openPolicy,
  readPolicyFolder,
  ruleHintReader,
  ruleJudge,
  signalReader,
} from "@afterstate/learner";
import { ANSWER_FORMATS, loadHomework, scoreAnswer, userName } from "@afterstate/learner/homework";
import { memoryBank } from "@afterstate/plugins-memory";
import { calculator } from "@afterstate/plugins-tools";
import { describe, expect, it } from "vitest";

const SEEDS = [1, 2, 3, 4];
const USERS = 20;
const CORRECTIONS = {
  bare: "Just the number, please. Use my name. Use the calculator.",
  sentence: "Please answer in a full sentence. Use my name. Use the calculator.",
  working: "Show the working, please. Use my name. Use the calculator.",
};
const homework = loadHomework();
const files = readPolicyFolder(EMBEDDED_POLICY);

/** Each user asks, says once how it should have been answered, and asks another day: shares of those second answers. */
async function secondSessions(seed: number, learns: boolean) {
  const policy = await openPolicy(files, { maxBatch: 32 });
  const log = memoryEventLog();
  const text = learnedText({ log });
  const reader = signalReader({ log, judge: ruleJudge(), hintReader: ruleHintReader(), attribution: text });
  const plugins = [calculator(), memoryBank(), ...(learns ? [text, reader] : [])];
  const agent = await createAgent({ model: policy.model(), seed, log, plugins });
  const scores = await Promise.all(
    Array.from({ length: USERS }, async (_, user) => {
      const random = createRandom(mixSeed(seed, "user", user));
      const name = userName(seed, user);
      const ask = (sessionId: string, prompt: string) =>
        agent.stream({ userId: name, sessionId: `${name}-${sessionId}`, prompt }).result();
      const preference = { format: random.pick(ANSWER_FORMATS), useName: true };
      await ask("1", `I'm ${name}. What is ${homework.draw("train", random).sum}?`);
      await ask("1", CORRECTIONS[preference.format]);
      await reader.settled();
      await text.settled();
      const question = homework.draw("held-out", random);
      const { answer } = await ask("2", `What is ${question.sum}?`);
      return scoreAnswer(question, answer, preference, name);
    }),
  );
  await agent.close();
  policy.dispose();
  const share = (of: (score: (typeof scores)[number]) => boolean) => scores.filter(of).length / USERS;
  return { success: share(({ success }) => success), preference: share(({ preferenceHeld }) => preferenceHeld) };
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

describe("learned text before the embedded policy", { timeout: 60_000 }, () => {
  it("makes a user's second session right once the first was corrected, which nothing else does", async () => {
    const learned = [];
    for (const seed of SEEDS) learned.push(await secondSessions(seed, true));
    const control = [await secondSessions(SEEDS[0]!, false)];
    expect(mean(learned.map(({ success }) => success))).toBeGreaterThanOrEqual(0.9);
    expect(mean(learned.map(({ preference }) => preference))).toBeGreaterThanOrEqual(0.85);
    expect(mean(control.map(({ success, preference }) => Math.max(success, preference)))).toBeLessThanOrEqual(0.5);
  });
});
