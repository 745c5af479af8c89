import { type AgentEvent, createAgent, type EventLog, memoryEventLog } from "@afterstate/core";
import { type ScriptedModel, scriptedModel } from "@afterstate/core/testing";
import { describe, expect, it } from "vitest";
import { signalReader } from "../online/signal-reader.js";
import { ruleHintReader } from "../signals/rule-hint-reader.js";
import { ruleJudge } from "../signals/rule-judge.js";
import { learnedText } from "./learned-text.js";
import type { LearnedTextOptions, LearnedTextPlugin } from "./learned-text-options.js";

const clock = { now: () => 7 };
const readers = { judge: ruleJudge(), hintReader: ruleHintReader() };

/** An agent in front of a model that says "24.", whatever it is asked, and learns in words. */
async function open(options: Partial<LearnedTextOptions> = {}) {
  const log = options.log ?? memoryEventLog();
  const model = scriptedModel(Array<string>(400).fill("The answer is 24."));
  const text = learnedText({ log, clock, ...options });
  const reader = signalReader({ log, ...readers, attribution: text, clock });
  const agent = await createAgent({ model, plugins: [text, reader], log, clock, seed: 1 });
  const settled = async () => {
    await reader.settled();
    await text.settled();
  };
  let sessions = log.nextOffset;
  /** A session of one user; each prompt is the reaction to what came before. @returns what the model saw of the first. */
  const hold = async (userId: string, ...prompts: string[]) => {
    const sessionId = `${userId}-${sessions++}`;
    const first = model.requests.length;
    for (const prompt of prompts) await agent.stream({ prompt, sessionId, userId }).result();
    await agent.closeSession(sessionId, "call");
    await settled();
    return seen(model, first);
  };
  return { log, text, agent, hold, model, settled };
}

const seen = (model: ScriptedModel, request: number) => model.requests[request]!.messages.at(-1)!.content;
const ACTIVE = (text: LearnedTextPlugin) =>
  text.state.texts.filter(({ state }) => state !== "retired").map(({ text, state }) => `${state} ${text}`);
const plain = (text: LearnedTextPlugin) => JSON.stringify({ ...text.state, users: [...text.state.users] });
async function eventsOf(log: EventLog): Promise<AgentEvent[]> {
  const events: AgentEvent[] = [];
  for await (const { event } of log.read(0)) events.push(event);
  return events;
}

describe("learned text", () => {
  it("says what a user wished in the user's next session, in front of any model", async () => {
    const { hold, log } = await open();
    expect(await hold("ann", "What is 48/2?", "Just the number, please. Use my name.", "Thanks!")).toBe(
      "What is 48/2?",
    );
    expect(await hold("ann", "What is 96/4?")).toBe("What is 96/4? Just the number, please. Use my name.");
    const hint = (await eventsOf(log)).find((event) => event.type === "signal" && event.signal.kind === "hint");
    expect(hint).toMatchObject({ signal: { text: "Just the number, please. Use my name.", source: "rules" } });
  });

  it("takes the newer of two wishes that cannot both hold, and each wish once", async () => {
    const { hold, text } = await open();
    await hold("ann", "What is 48/2?", "Just the number, please.");
    await hold("ann", "What is 48/2?", "I only want the number.");
    expect(ACTIVE(text)).toEqual(["active Just the number, please."]);
    await hold("ann", "What is 48/2?", "Please answer in a full sentence.");
    expect(ACTIVE(text)).toEqual(["active Please answer in a full sentence."]);
    expect(await hold("ann", "What is 96/4?")).toBe("What is 96/4? Please answer in a full sentence.");
  });

  it("shows nobody what another user said, until three users asked for the same", async () => {
    const { hold, text } = await open();
    await hold("ann", "What is 48/2?", "Just the number, please.");
    await hold("ben", "What is 48/2?", "I only want the number.");
    for (let i = 0; i < 8; i++) expect(await hold(`stranger${i}`, "What is 6*4?")).toBe("What is 6*4?");
    await hold("cleo", "What is 48/2?", "Only the number, please.");
    expect(ACTIVE(text).at(-1)).toBe("candidate I only want the number.");
    const asked = [];
    for (let i = 0; i < 24; i++) asked.push(await hold(`late${i}`, "What is 6*4?"));
    const told = asked.filter((prompt) => prompt === "What is 6*4? I only want the number.").length;
    expect(asked.filter((prompt) => prompt === "What is 6*4?")).toHaveLength(24 - told);
    expect([told > 5, told < 19]).toEqual([true, true]);
  });

  it("never shares what is personal, or what only one of the users said", async () => {
    const { hold, text } = await open();
    for (const user of ["ann", "ben", "cleo", "dora"])
      await hold(user, "What is 48/2?", "Please use the name Rex, not mine.", "Thanks!");
    const secrets = [
      "Show the working like teacher Mills does.",
      "Show the working as swordfish.",
      "Show the working at 7.",
    ];
    for (const [index, user] of ["ann", "ben", "cleo"].entries()) await hold(user, "What is 48/2?", secrets[index]!);
    expect(ACTIVE(text).slice(-3)).toEqual(secrets.map((secret) => `active ${secret}`));
    expect(text.state.texts.filter(({ scope }) => scope === "everyone")).toEqual([]);
  });

  it("takes back from everyone what people no longer agree on", async () => {
    const { hold, text } = await open({ shareAfter: 2 });
    for (const user of ["ann", "ben"]) await hold(user, "What is 48/2?", "Just the number, please.");
    expect(text.state.texts.filter(({ scope }) => scope === "everyone")).toHaveLength(1);
    await hold("ben", "What is 48/2?", "Please answer in a full sentence.");
    expect(text.state.texts.filter(({ scope }) => scope === "everyone")).toEqual([]);
  });

  it("gives way to what the request itself says", async () => {
    const { hold } = await open();
    await hold("ann", "What is 48/2?", "Just the number, please. Use my name.");
    expect(await hold("ann", "What is 96/4? Please answer in a full sentence.")).toBe(
      "What is 96/4? Please answer in a full sentence. Use my name.",
    );
    expect(await hold("ann", "What is 96/4? Just the number, please.")).toBe(
      "What is 96/4? Just the number, please. Use my name.",
    );
  });

  it("says at most three texts and 300 characters, those first that fit the request", async () => {
    const { hold } = await open();
    const long = `Mention the ${"very ".repeat(50)}long history of zebras.`;
    const wishes = ["Mention the date.", "Mention the weather.", "Mention the delivery.", "Mention the price.", long];
    for (const wish of wishes) await hold("ann", "Hello", `Please ${wish[0]!.toLowerCase()}${wish.slice(1)}`);
    const prompt = "What is the price of the delivery? And zebras?";
    const guidance = (await hold("ann", prompt)).slice(prompt.length + 1);
    expect(guidance.length).toBeLessThanOrEqual(300);
    expect(guidance.match(/[^.]+\./g)!.length).toBeLessThanOrEqual(3);
    expect(guidance).toContain("price");
    expect(guidance).toContain("delivery");
  });

  it("tries a text for everyone on a random half, and keeps it once its effect is certain", async () => {
    const { hold, text, log, agent, model, settled } = await open({ shareAfter: 2 });
    for (const user of ["ann", "ben"]) await hold(user, "What is 48/2?", "Just the number, please.");
    const shared = () => text.state.texts.find(({ scope }) => scope === "everyone")!;
    for (let i = 0; i < 80 && shared().state === "candidate"; i++) {
      const run = agent.stream({ prompt: "What is 6*4?", userId: `user${i}`, sessionId: `trial-${i}` });
      await run.result();
      // Users are content with those answers alone that saw the text.
      await run.feedback({ score: seen(model, model.requests.length - 1) === "What is 6*4?" ? -1 : 1 });
      await settled();
    }
    expect(shared().state).toBe("active");
    const { shown, withheld, differences } = shared().trial;
    expect([shown.mean, withheld.mean]).toEqual([1, -1]);
    expect(differences.length).toBe(shown.count + withheld.count);
    const decisions = (await eventsOf(log)).filter((event) => event.type === "decision");
    expect(decisions[0]).toMatchObject({
      name: `text:${shared().id}`,
      propensity: 0.5,
      alternatives: ["withheld", "shown"],
    });
    expect(await hold("late", "What is 6*4?")).toBe("What is 6*4? Just the number, please.");
  });

  it("is the same after a start over the same log, and nothing else is kept", async () => {
    const first = await open({ shareAfter: 2 });
    for (const user of ["ann", "ben"])
      await first.hold(user, "What is 48/2?", "Just the number, please.", "Thanks!", "What is 6*4?");
    const before = plain(first.text);
    await first.agent.close();
    const second = await open({ log: first.log, shareAfter: 2 });
    await second.text.settled();
    expect(plain(second.text)).toBe(before);
    expect(await second.hold("ann", "What is 96/4?")).toBe("What is 96/4? Just the number, please.");
  });

  it("reads what was said just before a crash after the next start", async () => {
    const log = memoryEventLog();
    const model = scriptedModel(["24", "24"]);
    const silent = await createAgent({ model, log, clock, seed: 1 });
    for (const prompt of ["What is 48/2?", "Just the number, please."])
      await silent.stream({ prompt, sessionId: "s", userId: "ann" }).result();
    const { hold, settled } = await open({ log });
    await settled();
    expect(await hold("ann", "What is 96/4?")).toBe("What is 96/4? Just the number, please.");
  });

  it("loses nothing of what the log acknowledged, wherever it is stopped", async () => {
    const whole = await open();
    for (const user of ["ann", "ben"]) await whole.hold(user, "What is 48/2?", `Just the number, please, and hurry.`);
    const events = await eventsOf(whole.log);
    for (let end = 1; end <= events.length; end++) {
      const log = memoryEventLog();
      for (const event of events.slice(0, end)) await log.append(event);
      const said = events
        .slice(0, end)
        .filter((event) => event.type === "next-state" && event.nextState.kind === "user").length;
      const { text, settled } = await open({ log });
      await settled();
      expect([end, ACTIVE(text).length]).toEqual([end, said]);
    }
  });

  it("without a user is what it would have been without their sessions", async () => {
    const with3 = await open({ shareAfter: 3 });
    for (const user of ["ann", "ben", "cleo"]) await with3.hold(user, "What is 48/2?", "Just the number, please.");
    expect(with3.text.state.texts.filter(({ scope }) => scope === "everyone")).toHaveLength(1);
    await with3.text.unlearn("ben");
    expect(ACTIVE(with3.text)).toEqual(["active Just the number, please.", "active Just the number, please."]);
    expect(with3.text.state.users).toEqual(new Set(["ann", "cleo"]));
    const later = await open({ log: with3.log });
    await later.text.settled();
    expect(plain(later.text)).toBe(plain(with3.text));
    expect(await with3.hold("ben", "What is 6*4?")).toBe("What is 6*4?");
  });

  it("refuses to share after no user", () => {
    expect(() => learnedText({ log: memoryEventLog(), shareAfter: 0 })).toThrow("shareAfter is a whole number");
  });
});
