import { createAgent, memoryEventLog } from "@afterstate/core";
import { scriptedModel } from "@afterstate/core/testing";
import { describe, expect, it } from "vitest";
import type { EpisodeOutcome } from "../decisions/episode-outcomes.js";
import { signalReader } from "../online/signal-reader.js";
import { ruleHintReader } from "../signals/rule-hint-reader.js";
import { ruleJudge } from "../signals/rule-judge.js";
import { modelEvolver, parseSkills, ruleEvolver, type SkillEvolver } from "./evolve-skills.js";
import { learnedText } from "./learned-text.js";

const failure = (userId: string, prompt: string, hint: string, reaction = hint): EpisodeOutcome => ({
  episodeId: `${userId}/0`,
  sessionId: userId,
  userId,
  prompt,
  answer: "24",
  reaction,
  hints: [hint],
  decisions: [],
  reward: -1,
});
const powers = [
  failure("ann", "What is 3^17 mod 41?", "Use the calculator."),
  failure("ben", "Calculate 2^9 mod 7.", "Please use the calculator."),
  failure("cleo", "5^5 mod 11", "You should use the calculator."),
  failure("dora", "Who are you?", "Say it in a sentence."),
];

describe("skills by rules", () => {
  it("are what recurs among failures, for the requests that failed", async () => {
    expect(await ruleEvolver().evolve({ failures: powers, texts: [], shareAfter: 3 })).toEqual([
      { name: "mod-calculator", when: "mod", text: "Use the calculator.", users: ["ann", "ben", "cleo"] },
    ]);
  });

  it("are for everyone only when enough users stand behind them", async () => {
    expect(await ruleEvolver().evolve({ failures: powers.slice(0, 2), texts: [], shareAfter: 3 })).toEqual([]);
    const alone = [powers[0]!, { ...powers[1]!, userId: "ann" }];
    expect(await ruleEvolver().evolve({ failures: alone, texts: [], shareAfter: 3 })).toMatchObject([
      { users: ["ann"] },
    ]);
  });
});

describe("skills by a model", () => {
  const evolve = (answer: string) =>
    modelEvolver({ model: scriptedModel([answer]) }).evolve({ failures: powers, texts: [], shareAfter: 3 });

  it("are read off its answer, three at most", async () => {
    const answer = ["a", "b", "c", "d"].map((x) => `name: skill ${x}\nwhen: Mod, powers\ninstructions: Use tool ${x}.`);
    const skills = await evolve(`Here you are.\n${answer.join("\n\n")}`);
    expect(skills.map(({ name, when, text }) => [name, when, text])).toEqual([
      ["skill", "mod power", "Use tool a."],
      ["skill-b", "mod power", "Use tool b."],
      ["skill-c", "mod power", "Use tool c."],
    ]);
    expect(parseSkills("name: x\nwhen: always\ninstructions: Be kind.")).toMatchObject([{ when: "" }]);
    expect(parseSkills("I cannot help with that.")).toEqual([]);
  });

  it("that tell of a person, or quote one, are left out", async () => {
    const write = (text: string) => evolve(`name: powers\nwhen: always\ninstructions: ${text}`);
    expect(await write("Remember that the user is Anna.")).toEqual([]);
    expect(await write("Say 24.")).toEqual([]);
    const quoted = [...powers, failure("eve", "hi", "Be nice.", "my secret word is swordfish you know")];
    const model = scriptedModel(["name: powers\nwhen: always\ninstructions: Recall: secret word is swordfish you."]);
    expect(await modelEvolver({ model }).evolve({ failures: quoted, texts: [], shareAfter: 3 })).toEqual([]);
    expect(await write("Use the calculator for powers.")).toHaveLength(1);
  });
});

describe("an evolution", () => {
  const draft = { name: "powers", when: "mod", text: "Reduce before you multiply.", users: ["u0", "u1", "u2"] };
  const evolverOf = (calls: number[]): SkillEvolver => ({
    name: "test",
    evolve: async ({ failures }) => {
      calls.push(failures.length);
      return [draft];
    },
  });
  async function play(rewards: readonly number[]) {
    const calls: number[] = [];
    const log = memoryEventLog();
    const model = scriptedModel(Array<string>(100).fill("24"));
    const readers = { judge: ruleJudge(), hintReader: ruleHintReader() };
    const skills = { evolver: evolverOf(calls), batchEpisodes: 5 };
    const text = learnedText({ log, skills, clock: { now: () => 7 } });
    const reader = signalReader({ log, ...readers });
    const agent = await createAgent({ model, plugins: [text, reader], log, seed: 1 });
    for (const [i, score] of rewards.entries()) {
      const run = agent.stream({ prompt: "What is 2^9 mod 7?", userId: `u${i}`, sessionId: `s${i}` });
      await run.feedback({ score });
      await reader.settled();
      await text.settled();
    }
    return { text, calls, log, agent, model };
  }

  it("happens when too little of a batch succeeded, and is in the log with its generation", async () => {
    const { text, calls, log, model, agent } = await play([1, -1, -1, -1, -1]);
    expect(calls).toEqual([4]);
    expect(text.state).toMatchObject({ generation: 1, texts: [{ kind: "skill", state: "candidate", when: "mod" }] });
    for await (const { event } of log.read(0))
      if (event.type === "text-update")
        expect(event).toMatchObject({ generation: 1, added: [draft], metrics: { success: 0.2, failures: 4 } });
    const saw = [];
    for (let i = 0; i < 24; i++) {
      await agent.stream({ prompt: i % 2 ? "What is 9^9 mod 5?" : "Who are you?", sessionId: `t${i}` }).result();
      saw.push(model.requests.at(-1)!.messages.at(-1)!.content);
    }
    const told = saw.filter((prompt) => prompt === "What is 9^9 mod 5? Reduce before you multiply.").length;
    expect([told > 2, told < 10]).toEqual([true, true]);
    expect(saw.filter((prompt) => prompt === "Who are you?")).toHaveLength(12);
  });

  it("does not happen when two fifths succeeded, nor again for the failures that it came from", async () => {
    expect((await play([1, 1, -1, -1, -1])).calls).toEqual([]);
    expect((await play([-1, -1, -1, -1, -1, 1, -1, -1, -1])).calls).toEqual([5]);
  });
});
