import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AgentError, type AgentEvent, createAgent, type EventLog, memoryEventLog } from "@afterstate/core";
import { type ScriptedFunction, scriptedModel } from "@afterstate/core/testing";
import { afterEach, describe, expect, it } from "vitest";
import { ruleHintReader } from "../signals/rule-hint-reader.js";
import { ruleJudge } from "../signals/rule-judge.js";
import { fakePolicy, fakePrompt, fakeTrainer } from "../testing/fake-policy.js";
import { type LoggedAgent, loggedAgent } from "../testing/logged-agent.js";
import type { UpdateOptions } from "../types.js";
import { openVersionStore, type VersionStore } from "../versions/version-store.js";
import type { OnlineLearner, OnlineLearnerOptions } from "./learner-options.js";
import { onlineLearner } from "./online-learner.js";

const update: UpdateOptions = {
  learningRate: 3e-4,
  stepSize: "fixed",
  epochs: 2,
  clipLow: 0.2,
  clipHigh: 0.2,
  klCoefficient: 0.02,
  distillationWeight: 1,
  distillationClip: 1,
  gradientClip: 1,
  lossDenominator: 100,
};
const clock = { now: () => 7 };
/** Session a is samples 0–19 of the weights, session b 20–39; two steps an episode. */
const placeOf = ({ of }: { of: { episodeId: string; stepIndex: number } }) => {
  const [session, episode] = of.episodeId.split("/") as [string, string];
  return (session === "b" ? 20 : 0) + Number(episode) * 2 + of.stepIndex;
};

const folders: string[] = [];
async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "afterstate-learner-"));
  folders.push(folder);
  return folder;
}
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function eventsOf(log: EventLog): Promise<AgentEvent[]> {
  const events: AgentEvent[] = [];
  for await (const { event } of log.read(0)) events.push(event);
  return events;
}

async function startLearner(changes: Partial<OnlineLearnerOptions> = {}, agent?: LoggedAgent) {
  const log = changes.log ?? memoryEventLog();
  const policy = fakePolicy();
  const trainer = fakeTrainer(placeOf);
  const options: OnlineLearnerOptions = {
    policy,
    trainer,
    log,
    judge: ruleJudge(),
    hintReader: ruleHintReader(),
    mode: "live",
    signals: "hybrid",
    batchEpisodes: 2,
    update,
    clock,
    ...changes,
  };
  const learner = onlineLearner(options);
  const host = agent ?? loggedAgent(log);
  await learner.setup?.(host.context);
  return { learner, log, policy, trainer, agent: host };
}

/** One question, answered by a tool step and an answer step. */
const ask = (agent: LoggedAgent, prompt: string, policyVersion = "base", sessionId = "a") =>
  agent.run({
    sessionId,
    prompt,
    policyVersion,
    steps: [{ tool: { name: "calculator", content: "24" } }, { text: "The answer is 24." }],
  });

const policyEvents = (events: readonly AgentEvent[]) =>
  events.filter(({ sessionId }) => sessionId === "").map(({ type }) => type);

describe("the online learner", () => {
  it("judges steps by what happened next, trains on a batch, promotes and tells of it in order", async () => {
    const { learner, log, policy, trainer, agent } = await startLearner();
    await ask(agent, "What is 48/2?");
    await ask(agent, "Great. What is 10*3?");
    await ask(agent, "No! Just the number please. What is 6*4?");
    await learner.settled();

    const events = await eventsOf(log);
    const learned = events.filter(({ type }) => ["signal", "policy-update", "policy-promotion"].includes(type));
    expect(learned).toMatchObject([
      { id: "a/0#signal-0-0-reward", of: { episodeId: "a/0", stepIndex: 0 }, signal: { kind: "reward", value: 0 } },
      { id: "a/0#signal-1-0-reward", of: { episodeId: "a/0", stepIndex: 1 }, signal: { kind: "reward", value: 1 } },
      { id: "a/1#signal-0-0-reward", signal: { value: 0 } },
      { id: "a/1#signal-1-0-reward", signal: { value: -1, source: "rules" } },
      { id: "a/1#signal-1-0-hint", signal: { kind: "hint", text: "Just the number please." } },
      { type: "policy-update", candidate: "v1", parent: "base", samples: 4, metrics: { kl: 0.01, gateAccepted: 1 } },
      { type: "policy-promotion", version: "v1", parent: "base", gate: { accepted: 1 } },
    ]);
    expect(policy.operations).toEqual(["load v1", "serve v1"]);
    expect(trainer.requests[0]!.options).toEqual(update);
    // λ = .95 and V = 0: the answer of a/0 gets 1, its tool call .95; nothing at the masked token
    expect(trainer.requests[0]!.samples.map(({ advantages }) => advantages)).toEqual([
      [0.95, 0.95, 0],
      [1, 1, 0],
      [-0.95, -0.95, 0],
      [-1, -1, 0],
    ]);
    expect(learner.report()).toMatchObject({ version: "v1", updates: 1, promotions: 1, episodes: 2, samples: 4 });
  });

  it("teaches by no hint that was measured to do no good, and counts and tells of those", async () => {
    const rejected = "it does not make the response less likely that it was given for";
    const hintAcceptance = {
      measure: async ({ hint }: { readonly hint: string }) =>
        hint.includes("name") ? { effect: 1, rejected } : { effect: -1 },
    };
    const { learner, log, trainer, agent } = await startLearner({ hintAcceptance, signals: "hints" });
    await ask(agent, "What is 48/2?");
    await ask(agent, "No. Use my name. What is 10*3?");
    await ask(agent, "No. Just the number please. What is 6*4?");
    await ask(agent, "No. Just the number please. What is 5*5?");
    await learner.settled();
    expect(trainer.requests[0]!.samples.map(({ of }) => of.episodeId)).toEqual(["a/1", "a/1", "a/2", "a/2"]);
    expect(learner.report()).toMatchObject({ updates: 1, rejectedHints: 1 });
    const signals = (await eventsOf(log)).filter((event) => event.type === "signal" && event.signal.kind === "hint");
    expect(signals[0]).toMatchObject({ signal: { text: "Use my name.", effect: 1, rejected } });
  });

  it("learns nothing while it is paused, and then in the order of sessions, whichever ended first", async () => {
    const { learner, log, trainer, agent } = await startLearner();
    learner.pause();
    for (const sessionId of ["b", "a"]) {
      await ask(agent, "What is 48/2?", "base", sessionId);
      await ask(agent, "Great. What is 10*3?", "base", sessionId);
    }
    await learner.settled();
    expect((await eventsOf(log)).filter(({ type }) => type === "signal")).toEqual([]);
    learner.resume();
    await learner.settled();
    const [update] = trainer.requests;
    expect(update!.samples.map(({ of }) => of.episodeId)).toEqual(["a/0", "a/0", "b/0", "b/0"]);
    expect(learner.report()).toMatchObject({ updates: 1, episodes: 2 });
  });

  it("shows the teacher the request with the hint at its end, at every step since the user spoke", async () => {
    const { learner, trainer, agent } = await startLearner({ batchEpisodes: 1 });
    await ask(agent, "What is 48/2?");
    await ask(agent, "Just the number please.");
    await learner.settled();
    const prompts = trainer.requests[0]!.samples.map(({ teacherPromptIds }) =>
      String.fromCodePoint(...teacherPromptIds!),
    );
    expect(prompts).toEqual([
      "user: What is 48/2? Just the number please.",
      "user: What is 48/2? Just the number please.\nassistant: \ntool: 24",
    ]);
  });

  it("gives no teacher where the prompt cannot be built again token by token", async () => {
    const tools = [{ name: "calculator", description: "", inputSchema: {} }];
    const { learner, trainer, agent } = await startLearner({ batchEpisodes: 1, tools });
    await ask(agent, "What is 48/2?");
    await ask(agent, "Just the number please.");
    await learner.settled();
    expect(trainer.requests[0]!.samples.map(({ teacherPromptIds }) => teacherPromptIds)).toEqual([
      undefined,
      undefined,
    ]);
  });

  it("takes the tools of the prompt from the requests that pass by", async () => {
    const { learner } = await startLearner();
    const tools = [{ name: "calculator", description: "", inputSchema: {} }];
    const passed = learner.hooks?.beforeModel?.({ request: { messages: [], tools, seed: 0 }, sessionId: "a" });
    expect(passed).toBeUndefined();
    expect(fakePrompt([], tools).length).toBeGreaterThan(0);
  });

  it("neither trains on what says nothing nor counts it towards a batch", async () => {
    const { learner, trainer, agent } = await startLearner();
    for (const prompt of ["What is 48/2?", "ok", "hm", "ok"]) await ask(agent, prompt);
    await agent.close("a");
    await learner.settled();
    expect(trainer.requests).toEqual([]);
    expect(learner.report()).toMatchObject({ updates: 0, pending: 0 });
  });

  it("lets explicit feedback outweigh the judge and reads its correction as a hint", async () => {
    const { learner, trainer, agent } = await startLearner({ batchEpisodes: 1, credit: { lambda: 1 } });
    const episode = await ask(agent, "What is 48/2?");
    await agent.feedback(episode, 1, { score: -1, correction: "use my name" });
    await learner.settled();
    const [, answer] = trainer.requests[0]!.samples;
    expect(answer!.advantages).toEqual([-1, -1, 0]);
    expect(String.fromCodePoint(...answer!.teacherPromptIds!)).toContain("What is 48/2? Use my name.");
  });

  it("trains on rewards alone or on hints alone when told so", async () => {
    for (const signals of ["reward", "hints"] as const) {
      const { learner, trainer, agent } = await startLearner({ batchEpisodes: 1, signals });
      await ask(agent, "What is 48/2?");
      await ask(agent, "Just the number please.");
      await learner.settled();
      const [, answer] = trainer.requests[0]!.samples;
      expect(answer!.advantages).toEqual(signals === "reward" ? [-1, -1, 0] : [0, 0, 0]);
      expect(answer!.teacherPromptIds === undefined).toBe(signals === "reward");
    }
  });

  it("permutes votes and drops hints in the shuffled control", async () => {
    const { learner, trainer, agent } = await startLearner({ control: "shuffled-votes", batchEpisodes: 4, seed: 3 });
    await ask(agent, "What is 1+1?");
    for (const verdict of ["Great.", "No, that's wrong.", "Great.", "Just the number please."])
      await ask(agent, `${verdict} What is ${verdict.length}+1?`);
    await learner.settled();
    const [{ samples }] = trainer.requests as [(typeof trainer.requests)[0]];
    expect(samples.every(({ teacherPromptIds }) => teacherPromptIds === undefined)).toBe(true);
    const answers = samples.filter(({ of }) => of.stepIndex === 1).map(({ advantages }) => advantages[0]);
    expect(answers).not.toEqual([1, -1, 1, -1]);
  });

  it("counts and skips steps of models without tokens", async () => {
    const { learner, trainer, agent } = await startLearner({ batchEpisodes: 1 });
    const run = (prompt: string, tokens: boolean) =>
      agent.run({ sessionId: "a", prompt, policyVersion: "base", steps: [{ text: "24", tokens }] });
    await run("What is 48/2?", false);
    await run("Great. What is 3*3?", true);
    await run("Great. What is 5*5?", true);
    await learner.settled();
    expect(trainer.requests.flatMap(({ samples }) => samples).map(({ of }) => of.episodeId)).toEqual(["a/1"]);
    expect(learner.report()).toMatchObject({ dropped: { noTokens: 1 }, samples: 1, episodes: 2 });
  });

  it("drops and counts samples that are too many versions old", async () => {
    const { learner, trainer, agent } = await startLearner({ batchEpisodes: 1, maxStaleness: 1 });
    for (const [index, version] of ["base", "base", "base", "v2", "v2"].entries())
      await ask(agent, `${index % 2 === 0 ? "No." : "Great."} What is ${index}+1?`, version);
    await learner.settled();
    // a/0 makes v1, a/1 (one behind) v2, a/2 (two behind) is dropped, a/3 makes v3
    expect(trainer.requests.flatMap(({ samples }) => samples).map(({ of }) => of.episodeId)).toEqual([
      "a/0",
      "a/0",
      "a/1",
      "a/1",
      "a/3",
      "a/3",
    ]);
    expect(learner.report()).toMatchObject({ version: "v3", dropped: { stale: 2 }, episodes: 4, updates: 3 });
  });

  it("moves on without serving a candidate that the gate rejects", async () => {
    const evaluate = async (version: string) => Array.from({ length: 20 }, () => (version === "base" ? 0.9 : 0.1));
    const { learner, log, policy, agent } = await startLearner({ gate: { evaluate } });
    for (let i = 0; i < 5; i++) await ask(agent, `Great. What is ${i}+1?`);
    await learner.settled();
    expect(policy.operations).toEqual(["load v1", "unload v1", "load v2", "unload v2"]);
    expect(policyEvents(await eventsOf(log))).toEqual(["policy-update", "policy-update"]);
    expect(learner.report()).toMatchObject({ version: "base", updates: 2, rejections: 2, promotions: 0, pending: 0 });
  });

  it("refuses losses that add up, though each of them is within the noise", async () => {
    // Version n fails n of 100 questions. Six are significant against the best (e⁻⁶ < .005), one more against the last is not.
    const lost = (version: string) => (version === "base" ? 0 : Number(version.slice(1)));
    const evaluate = async (version: string) => Array.from({ length: 100 }, (_, i) => (i < lost(version) ? 0 : 1));
    const { learner, agent } = await startLearner({ gate: { evaluate }, batchEpisodes: 1, maxStaleness: 9 });
    for (let i = 0; i < 8; i++) await ask(agent, `${i % 2 === 0 ? "No." : "Great."} What is ${i}+1?`);
    await learner.settled();
    expect(learner.report()).toMatchObject({ version: "v5", promotions: 5, rejections: 2 });
  });

  it("trains and gates in the shadow, from the serving version each time, and serves nothing", async () => {
    const { learner, log, policy, trainer, agent } = await startLearner({ mode: "shadow" });
    for (let i = 0; i < 5; i++) await ask(agent, `Great. What is ${i}+1?`);
    await learner.settled();
    expect(policy.serving).toBe("base");
    expect(trainer.requests.map(({ weights }) => weights)).toEqual([policy.weights("base"), policy.weights("base")]);
    expect(policyEvents(await eventsOf(log))).toEqual(["policy-update", "policy-update"]);
  });

  it("does nothing at all when off", async () => {
    const { learner, log, policy, agent } = await startLearner({ mode: "off" });
    expect([learner.setup, learner.hooks]).toEqual([undefined, undefined]);
    for (let i = 0; i < 5; i++) await ask(agent, `Great. What is ${i}+1?`);
    await learner.settled();
    expect((await eventsOf(log)).filter(({ type }) => type === "signal")).toEqual([]);
    expect(policy.operations).toEqual([]);
    await learner.stop();
  });

  it("accounts for the samples of an update that fails, and goes on", async () => {
    const failure = new AgentError("learner/non-finite-loss", "the loss is NaN");
    const trainer = fakeTrainer(placeOf, [failure]);
    const { learner, log, policy, agent } = await startLearner({ trainer });
    for (let i = 0; i < 5; i++) await ask(agent, `No. Use my name. What is ${i}+1?`);
    await learner.settled();
    expect(policyEvents(await eventsOf(log))).toEqual(["error", "policy-update", "policy-promotion"]);
    expect(learner.report()).toMatchObject({ version: "v1", dropped: { failedUpdate: 4 }, samples: 4, updates: 1 });
    expect(policy.serving).toBe("v1");
  });

  it("keeps a batch and tries again when an update could not be tried", async () => {
    const busy = new AgentError("learner/busy", "the device is taken", { retryable: true });
    const { learner, agent } = await startLearner({ trainer: fakeTrainer(placeOf, [busy]) });
    for (let i = 0; i < 4; i++) await ask(agent, `Great. What is ${i}+1?`);
    await learner.settled();
    expect(learner.report()).toMatchObject({ dropped: { failedUpdate: 0 }, samples: 4, updates: 1 });
  });
});

describe("in the agent loop", () => {
  const tokensOf = (messages: Parameters<typeof fakePrompt>[0]) => ({
    promptIds: fakePrompt(messages, []),
    ids: [1, 2],
    logProbs: [-0.5, -0.1],
    mask: [1, 1],
    temperature: 1,
  });
  const answers =
    (text: string): ScriptedFunction =>
    ({ messages }) => ({ text, tokens: tokensOf(messages), policyVersion: "base" });

  it("learns from replies and from feedback that comes after them", async () => {
    const log = memoryEventLog();
    const policy = fakePolicy();
    const trainer = fakeTrainer(placeOf);
    const judge = ruleJudge();
    const hintReader = ruleHintReader();
    const options = {
      policy,
      trainer,
      log,
      judge,
      hintReader,
      mode: "live",
      signals: "hybrid",
      batchEpisodes: 2,
      update,
      clock,
    } as const;
    const learner = onlineLearner(options);
    const model = scriptedModel([answers("The answer is 24."), answers("30"), answers("12")]);
    const agent = await createAgent({ model, log, plugins: [learner], seed: 1 });
    const say = (prompt: string) => agent.stream({ prompt, sessionId: "a" }).result();
    const first = await say("What is 48/2?");
    await say("Great, thanks. What is 10*3?");
    await learner.settled();
    expect(learner.report()).toMatchObject({ updates: 0, pending: 1 });
    await agent.feedback(first.id, { score: -1, correction: "only the number" });
    await say("Perfect. What is 3*4?");
    await learner.settled();
    expect(trainer.requests[0]!.samples).toMatchObject([
      { of: { episodeId: "a/0", stepIndex: 0 }, advantages: [-1, -1] },
      { of: { episodeId: "a/1", stepIndex: 0 }, advantages: [1, 1] },
    ]);
    expect(String.fromCodePoint(...trainer.requests[0]!.samples[0]!.teacherPromptIds!)).toBe(
      "user: What is 48/2? Only the number.",
    );
    expect(policy.serving).toBe("v1");
    await agent.close();
    model.assertExhausted();
  });
});

describe("rolling back", () => {
  it("happens by itself when reward falls, back to the parent", async () => {
    const { learner, log, policy, agent } = await startLearner({
      batchEpisodes: 4,
      rollback: { episodes: 2, z: 1 },
    });
    for (let i = 0; i < 5; i++) await ask(agent, `Great. What is ${i}+1?`);
    await learner.settled();
    expect(policy.serving).toBe("v1");
    // the next reply still judges an answer of the base version
    for (let i = 0; i < 3; i++) await ask(agent, `No, that's wrong. What is ${i}+2?`, "v1");
    await learner.settled();
    expect(policy.serving).toBe("base");
    expect((await eventsOf(log)).at(-1)).toMatchObject({ type: "policy-rollback", from: "v1", to: "base" });
    expect(learner.report()).toMatchObject({ version: "base", rollbacks: 1 });
  });

  it("can be asked for, and brings stored weights back", async () => {
    const store = await openVersionStore(await newFolder());
    const { learner, policy, agent } = await startLearner({ store, batchEpisodes: 1 });
    for (let i = 0; i < 3; i++) await ask(agent, `Great. What is ${i}+1?`, i === 0 ? "base" : `v${i}`);
    await learner.settled();
    expect(policy.serving).toBe("v2");
    expect(policy.loaded).toEqual(["base", "v2"]);
    await learner.rollback("v1");
    expect(policy.serving).toBe("v1");
    expect([...policy.weights("v1").get("w")!.data.slice(0, 4)]).toEqual([1, 1, 0, 0]);
    await expect(learner.rollback("v9")).rejects.toMatchObject({ code: "policy/unknown-version" });
    const restarted = await startLearner({ store });
    expect(restarted.policy.serving).toBe("v1");
  });
});

/** Lets `limit` boundaries pass and hangs at the next one for ever, as a killed process does. */
function killSwitch(limit: number) {
  let kill = () => {};
  const killed = new Promise<void>((resolve) => {
    kill = resolve;
  });
  let passed = 0;
  const boundary = (): Promise<void> => {
    if (passed++ < limit) return Promise.resolve();
    kill();
    return new Promise(() => {});
  };
  const around =
    <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      await boundary();
      const result = await call(...args);
      await boundary();
      return result;
    };
  return { killed, around, passed: () => passed };
}

describe("a stop at any moment", () => {
  const replies = ["Great.", "Just the number please.", "ok", "No, that's wrong.", "Great.", "Use my name.", "Great."];

  async function writeEverything(log: EventLog): Promise<void> {
    const agent = loggedAgent(log);
    for (const [index, reply] of replies.entries()) {
      await ask(agent, `${reply} What is ${index}+1?`, "base", "a");
      if (index % 2 === 0) await ask(agent, `${reply} What is ${index}+3?`, "base", "b");
    }
  }

  async function learn(log: EventLog, store: VersionStore, limit = Number.POSITIVE_INFINITY) {
    const { around, killed, passed } = killSwitch(limit);
    const agent = loggedAgent(log);
    const judge = ruleJudge();
    const hintReader = ruleHintReader();
    const trainer = fakeTrainer(placeOf);
    const started: Promise<{ learner: OnlineLearner; policy: ReturnType<typeof fakePolicy> }> = startLearner(
      {
        log,
        store: { ...store, write: around(store.write), point: around(store.point), prune: around(store.prune) },
        judge: { ...judge, judge: around(judge.judge) },
        hintReader: { ...hintReader, read: around(hintReader.read) },
        trainer: { ...trainer, update: around(trainer.update) },
        gate: { evaluate: around(async () => [1, 1]) },
      },
      { ...agent, context: { ...agent.context, emit: around(agent.context.emit) } },
    );
    const finished = started.then(async ({ learner, policy }) => {
      await learner.settled();
      return { learner, policy };
    });
    return { outcome: await Promise.race([finished, killed]), passed: passed() };
  }

  it("loses no sample, uses none twice, and tells everything once", { timeout: 120_000 }, async () => {
    const whole = memoryEventLog();
    await writeEverything(whole);
    const undisturbed = await learn(whole, await openVersionStore(await newFolder()));
    const weights = [...undisturbed.outcome!.policy.weights(undisturbed.outcome!.policy.serving).get("w")!.data];
    const told = (await eventsOf(whole)).map(({ id }) => id).sort();
    expect(weights.filter((count) => count === 1).length).toBeGreaterThan(10);
    expect(Math.max(...weights)).toBe(1);
    expect(undisturbed.passed).toBeGreaterThan(80);

    for (let limit = 0; limit < undisturbed.passed; limit++) {
      const log = memoryEventLog();
      await writeEverything(log);
      const folder = await newFolder();
      await learn(log, await openVersionStore(folder), limit);
      const { outcome } = await learn(log, await openVersionStore(folder));
      const { policy, learner } = outcome!;
      expect([...policy.weights(policy.serving).get("w")!.data], `killed at boundary ${limit}`).toEqual(weights);
      expect((await eventsOf(log)).map(({ id }) => id).sort(), `killed at boundary ${limit}`).toEqual(told);
      expect(learner.report()).toEqual(undisturbed.outcome!.learner.report());
    }
  });

  it("goes on from the newest intact ancestor when the serving weights are damaged, and learns the rest again", async () => {
    const log = memoryEventLog();
    await writeEverything(log);
    const folder = await newFolder();
    const first = await learn(log, await openVersionStore(folder));
    const { serving } = first.outcome!.policy;
    const weights = [...first.outcome!.policy.weights(serving).get("w")!.data];
    await writeFile(join(folder, serving, "model.safetensors"), "damaged");
    const again = await learn(log, await openVersionStore(folder));
    expect(again.outcome!.policy.serving).not.toBe(serving);
    expect([...again.outcome!.policy.weights(again.outcome!.policy.serving).get("w")!.data]).toEqual(weights);
    const errors = (await eventsOf(log)).filter(({ type }) => type === "error");
    expect(errors).toMatchObject([{ code: "checkpoint/corrupt" }]);
    expect((errors[0] as { message: string }).message).toContain(join(serving, "model.safetensors"));
    expect(await readdir(folder)).toContain("serving");
  });
});
