import {
  createAgent,
  createRandom,
  type Decision,
  type EventLog,
  memoryEventLog,
  mixSeed,
  type Random,
} from "@afterstate/core";
import { scriptedModel } from "@afterstate/core/testing";
import { describe, expect, it } from "vitest";
import { signalReader } from "../online/signal-reader.js";
import { ruleHintReader } from "../signals/rule-hint-reader.js";
import { ruleJudge } from "../signals/rule-judge.js";
import { type BanditDeciderOptions, banditDecider } from "./bandit-decider.js";
import { estimateDecision } from "./decision-report.js";
import { drawAlternative } from "./inverse-gap.js";
import { type BanditRule, choiceProbabilities, newDecision, withChoice } from "./learned-decision.js";

const manner: Decision = {
  name: "manner",
  alternatives: ["brief", "long"],
  scope: "episode",
  features: ({ messages }) => ({ asksWhy: /why/i.test(messages.at(-1)!.content) ? 1 : -1 }),
  apply: (choice, request) => ({
    ...request,
    messages: [{ role: "system", content: `Be ${choice}.` }, ...request.messages],
  }),
};

/** An agent in front of a model that others host: users want long answers to "why" and brief ones otherwise. */
async function play(episodes: number, options: Partial<BanditDeciderOptions> & { log?: EventLog } = {}) {
  const log = options.log ?? memoryEventLog();
  const model = scriptedModel(
    Array.from(
      { length: episodes },
      () =>
        ({ messages }) =>
          messages[0]!.content,
    ),
  );
  const bandit = banditDecider({ log, seed: 1, ...options });
  const reader = signalReader({ log, judge: ruleJudge(), hintReader: ruleHintReader() });
  const plugins = [bandit, reader, { name: "manner", decisions: [manner] }];
  const agent = await createAgent({ model, plugins, log, seed: 1 });
  const right: boolean[] = [];
  for (let i = 0; i < episodes; i++) {
    const why = i % 2 === 0;
    const run = agent.stream({
      prompt: why ? "Why is the sky blue?" : "What is 48/2?",
      userId: `user-${i % 2}`,
      sessionId: `s${i}`,
    });
    const { answer } = await run.result();
    right.push(answer === (why ? "Be long." : "Be brief."));
    await run.feedback({ score: right.at(-1) ? 1 : -1 });
    await reader.settled();
    await bandit.settled();
  }
  return { bandit, agent, log, right };
}
const share = (right: readonly boolean[]) => right.filter(Boolean).length / right.length;

describe("a bandit that decides", () => {
  it("learns from next states what to choose when, in front of a model that nobody trains", async () => {
    const { bandit, right } = await play(150);
    expect(share(right.slice(-50))).toBeGreaterThanOrEqual(0.9);
    expect(bandit.report()).toMatch(/manner: 150 choices, reward \.?0?\.\d+/);
    const estimates = estimateDecision(bandit.known.get("manner")!);
    const estimated = (of: string) => estimates.find(({ policy }) => policy === of)!.doublyRobust.value;
    expect(estimated("learned").value).toBeGreaterThan(0.9);
    // Always brief is right for half of the questions: a mean reward of 0.
    expect([estimated("always brief").low < 0, estimated("always brief").high > 0]).toEqual([true, true]);
  });

  it("draws with the very probabilities that it logs", async () => {
    const { bandit } = await play(12);
    const request = { decision: manner, features: { asksWhy: 1 }, sessionId: "s" };
    const drawn = Array.from({ length: 4000 }, (_, seed) => bandit.choose({ ...request, seed }));
    const [brief, long] = manner.alternatives.map((one) => drawn.filter(({ choice }) => choice === one));
    const probability = brief![0]!.propensity;
    expect(probability + long![0]!.propensity).toBeCloseTo(1, 12);
    const error = Math.sqrt((probability * (1 - probability)) / 4000);
    expect(Math.abs(brief!.length / 4000 - probability)).toBeLessThan(3 * error);
  });

  it("knows after a start over the same log what it knew, and nothing of users who were unlearned", async () => {
    const { bandit, log, agent } = await play(20);
    await agent.close();
    const later = await play(0, { log });
    expect(later.bandit.known).toEqual(bandit.known);
    await later.bandit.unlearn("user-1");
    expect(later.bandit.known.get("manner")!.choices).toHaveLength(10);
    expect((await play(0, { log })).bandit.known).toEqual(later.bandit.known);
  });

  it("is told its options' limits", () => {
    const log = memoryEventLog();
    expect(() => banditDecider({ log, floor: 0 })).toThrow("floor is a probability above 0");
    expect(() => banditDecider({ log, exploitation: 0 })).toThrow("exploitation is more than 0");
    expect(() => banditDecider({ log, forgetting: 2 })).toThrow("forgetting is above 0");
  });
});

describe("learning by inverse gaps", () => {
  const rule: BanditRule = { exploitation: 8, floor: 0.01, forgetting: 1 };
  /** Mean reward of each alternative by one feature: which is best depends on it. */
  const rewards = (x: number, t: number, changes: boolean) => {
    const turned = changes && t >= 400 ? -1 : 1;
    return [0.6 * x * turned, -0.6 * x * turned, 0];
  };
  function run(
    seed: number,
    options: { rule?: BanditRule; shuffled?: boolean; changes?: boolean; steps?: number } = {},
  ) {
    const { rule: by = rule, shuffled = false, changes = false, steps = 800 } = options;
    const random = createRandom(mixSeed("bandit", seed));
    let known = newDecision("d", ["a", "b", "c"]);
    let [had, best] = [0, 0];
    for (let t = 0; t < steps; t++) {
      const x = random.next() < 0.5 ? -1 : 1;
      const probabilities = choiceProbabilities(known, known.alternatives, { x }, by);
      const taken = drawAlternative(probabilities, random.next());
      const means = rewards(x, t, changes);
      const reward = noisy(means[taken]!, random);
      const taught = shuffled ? noisy(means[random.integer(3)]!, random) : reward;
      const made = {
        name: "d",
        alternatives: ["a", "b", "c"],
        choice: known.alternatives[taken]!,
        propensity: probabilities[taken]!,
        features: { x },
      };
      known = withChoice(known, made, { reward: taught, sessionId: `${t}` }, by);
      if (t >= steps / 2) [had, best] = [had + means[taken]!, best + Math.max(...means)];
    }
    return had / best;
  }
  const noisy = (mean: number, random: Random) => (random.next() < (1 + mean) / 2 ? 1 : -1);
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const seeds = Array.from({ length: 10 }, (_, seed) => seed);

  it("gets nine tenths of what the best choice for each context would get, and no more than chance from shuffled rewards", () => {
    expect(mean(seeds.map((seed) => run(seed)))).toBeGreaterThanOrEqual(0.9);
    expect(mean(seeds.map((seed) => run(seed, { shuffled: true })))).toBeLessThanOrEqual(0.3);
  });

  it("gives each of very many alternatives a probability", () => {
    const many = Array.from({ length: 300 }, (_, i) => `${i}`);
    const probabilities = choiceProbabilities(newDecision("d", many), many, {}, rule);
    expect(Math.min(...probabilities)).toBeGreaterThan(0);
    expect(probabilities.reduce((sum, probability) => sum + probability, 0)).toBeCloseTo(1, 9);
  });

  it("follows a world that changes when it forgets", () => {
    const changed = (forgetting: number) =>
      mean(seeds.map((seed) => run(seed, { changes: true, rule: { ...rule, forgetting } })));
    expect(changed(0.98)).toBeGreaterThanOrEqual(0.6);
    expect(changed(1)).toBeLessThanOrEqual(0.3);
  });
});
