import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AgentEvent, type Clock, type EventLog, memoryEventLog } from "@afterstate/core";
import { afterEach, describe, expect, it } from "vitest";
import { ruleJudge } from "../signals/rule-judge.js";
import { fakePolicy, fakeTrainer } from "../testing/fake-policy.js";
import { type LoggedAgent, loggedAgent } from "../testing/logged-agent.js";
import { openVersionStore, type VersionStore } from "../versions/version-store.js";
import type { OnlineLearner, OnlineLearnerOptions } from "./learner-options.js";
import { onlineLearner } from "./online-learner.js";

const folders: string[] = [];
async function newStore(): Promise<VersionStore> {
  const folder = await mkdtemp(join(tmpdir(), "afterstate-safety-"));
  folders.push(folder);
  return openVersionStore(folder);
}
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function start(changes: Partial<OnlineLearnerOptions> = {}, agent?: LoggedAgent) {
  const log = changes.log ?? memoryEventLog();
  const policy = fakePolicy();
  const trainer = fakeTrainer(() => 0);
  const options: OnlineLearnerOptions = {
    policy,
    trainer,
    log,
    judge: ruleJudge(),
    mode: "live",
    signals: "reward",
    batchEpisodes: 4,
    clock: { now: () => 7 },
    ...changes,
  };
  const learner = onlineLearner(options);
  const host = agent ?? loggedAgent(log);
  await learner.setup?.(host.context);
  return { learner, log, policy, trainer: changes.trainer ?? trainer, agent: host };
}
type Started = Awaited<ReturnType<typeof start>>;

/** The version that the learner's hook has a session answered by; undefined: the one that serves. */
const versionFor = (learner: OnlineLearner, sessionId: string) =>
  (
    learner.hooks?.beforeModel?.({ request: { messages: [], tools: [], seed: 0 }, sessionId }) as
      | { policyVersion?: string }
      | undefined
  )?.policyVersion;

/** Sessions of one answer and one thumb, answered by whatever version the learner chooses. */
async function hold({ learner, agent, policy }: Started, ids: readonly string[], score: (id: string) => number) {
  for (const sessionId of ids) {
    const policyVersion = versionFor(learner, sessionId) ?? policy.serving;
    const steps = [{ text: "The answer is 24." }];
    const episode = await agent.run({ sessionId, prompt: "What is 48/2?", policyVersion, steps, userId: sessionId });
    await agent.feedback(episode, 0, { score: score(sessionId) });
    await learner.settled();
  }
}
const sessions = (count: number, prefix = "s") => Array.from({ length: count }, (_, i) => `${prefix}${i}`);

/** Nothing is learned from what always pleases. */
const alternately = (id: string) => (Number(id.slice(1)) % 2 === 0 ? 1 : -1);

async function told(log: EventLog, ...types: AgentEvent["type"][]): Promise<AgentEvent[]> {
  const events: AgentEvent[] = [];
  for await (const { event } of log.read(0)) if (types.includes(event.type)) events.push(event);
  return events;
}

describe("sessions that are held out", () => {
  it("get the base policy, are judged and counted, and never trained on; the others tell what learning is worth", async () => {
    const started = await start({ holdoutShare: 0.4, seed: 3, rollback: { episodes: 1000, z: 2 } });
    const { learner, trainer } = started;
    const ids = sessions(60);
    await hold(started, ids, (id) => (learner.isHeldOut(id) ? -1 : 1));
    const held = ids.filter((id) => learner.isHeldOut(id));
    expect(held.length).toBeGreaterThan(12);
    const { version, dropped, lift, samples } = learner.report();
    expect(version).not.toBe("base");
    expect(held.map((id) => versionFor(learner, id))).toEqual(held.map(() => "base"));
    const trained = (trainer as ReturnType<typeof fakeTrainer>).requests.flatMap((request) => request.samples);
    expect(trained.length).toBe(samples);
    expect(trained.filter(({ of }) => held.includes(of.episodeId.split("/")[0]!))).toEqual([]);
    expect(dropped.heldOut).toBeGreaterThan(10);
    // Counted from the first promotion on, each session once, waiting ones included.
    expect(lift.holdout!.sessions + lift.live!.sessions).toBeLessThanOrEqual(60);
    expect(lift).toMatchObject({ value: 2, live: { mean: 1 }, holdout: { mean: -1 } });
  });

  it("bring the base back when they fare better than what serves", async () => {
    const started = await start({ holdoutShare: 0.5, seed: 3, batchEpisodes: 12, rollback: { episodes: 8, z: 2 } });
    const { learner, log, policy } = started;
    // While the base serves all, the held-out users are discontent: v1 is no worse than that. Then they become content, v1's do not.
    let count = 0;
    await hold(started, sessions(60), (id) => {
      if (learner.isHeldOut(id)) return policy.serving === "base" ? -1 : 1;
      return count++ % (policy.serving === "base" ? 2 : 3) === 0 ? 1 : -1;
    });
    const [rollback] = await told(log, "policy-rollback");
    expect(rollback).toMatchObject({ from: "v1", to: "base" });
    expect((rollback as { reason: string }).reason).toMatch(/held out/);
  });
});

describe("a candidate on trial", () => {
  const canary = { share: 0.5, episodes: 6, z: 2 };

  it("serves its share of the sessions, holds up updates, and is promoted when it is no worse", async () => {
    const started = await start({ canary });
    const { learner, log, policy } = started;
    await hold(started, sessions(4), () => 1);
    expect(learner.report()).toMatchObject({ version: "base", canary: "v1", updates: 1, promotions: 0 });
    const ids = sessions(40, "t");
    const share = ids.filter((id) => versionFor(learner, id) === "v1");
    expect(share.length).toBeGreaterThan(10);
    expect(share.length).toBeLessThan(30);
    await hold(started, ids.slice(0, 8), alternately);
    expect(learner.report().updates).toBe(1);
    await hold(started, ids.slice(8), alternately);
    const promotions = await told(log, "policy-promotion");
    expect(promotions[0]).toMatchObject({ version: "v1", parent: "base", gate: { accepted: 1 } });
    expect((promotions[0] as { gate: Record<string, number> }).gate.canaryEpisodes).toBeGreaterThanOrEqual(6);
    expect(learner.report().promotions).toBeGreaterThan(0);
    expect(policy.serving).not.toBe("base");
    // What waited meanwhile was learned from after it.
    expect(learner.report().updates).toBeGreaterThan(1);
  });

  it("is dropped with the reason when it is worse, and never serves all", async () => {
    const started = await start({ canary });
    const { learner, log, policy } = started;
    await hold(started, sessions(4), () => 1);
    await hold(started, sessions(24, "t"), (id) => (versionFor(learner, id) === "v1" ? -1 : 1));
    const [rollback] = await told(log, "policy-rollback");
    expect(rollback).toMatchObject({ from: "v1", to: "base" });
    expect((rollback as { reason: string }).reason).toMatch(/on trial its mean reward was -1.000/);
    expect(await told(log, "policy-promotion")).not.toMatchObject([{ version: "v1" }]);
    expect(policy.operations).not.toContain("serve v1");
  });

  it("goes on with its trial after a restart, and comes to the same end", async () => {
    const run = async (restartAt: number) => {
      const store = await newStore();
      const log = memoryEventLog();
      let started = await start({ canary, log, store });
      const ids = [...sessions(4), ...sessions(30, "t")];
      for (const [index, id] of ids.entries()) {
        if (index === restartAt) {
          await started.learner.stop();
          started = await start({ canary, log, store: await openVersionStore(store.directory) }, started.agent);
        }
        await hold(started, [id], alternately);
      }
      return { report: started.learner.report(), promoted: (await told(log, "policy-promotion")).map(({ id }) => id) };
    };
    const whole = await run(-1);
    expect(whole.promoted.length).toBeGreaterThan(0);
    for (const at of [5, 9, 14]) expect(await run(at)).toEqual(whole);
  });
});

describe("a version that was rolled back from", () => {
  it("does not come back by itself, not even when the pointer is destroyed", async () => {
    const store = await newStore();
    const log = memoryEventLog();
    const started = await start({ log, store });
    await hold(started, sessions(8), alternately);
    expect(started.learner.report().version).toBe("v2");
    await started.learner.rollback("v1");
    await started.learner.stop();
    await writeFile(join(store.directory, "serving"), "destroyed");
    const again = await start({ log, store: await openVersionStore(store.directory) });
    expect(again.policy.serving).toBe("v1");
    await again.learner.rollback("v2");
    expect(again.policy.serving).toBe("v2");
  });
});

describe("a version that was made with sessions held out and a user in quarantine", () => {
  it("can be made again from the log and the records, to the bit", async () => {
    const started = await start({ store: await newStore(), holdoutShare: 0.2, seed: 5, keepVersions: 1 });
    const { learner, agent, policy } = started;
    for (let index = 0; index < 20; index++)
      for (const userId of ["ann", "ben", "cid", "eve"]) {
        const sessionId = `${userId}-${index}`;
        const [policyVersion, good] = [versionFor(learner, sessionId) ?? policy.serving, index % 3 > 0];
        const steps = [{ text: good ? `The answer is ${index}.` : `${index}` }];
        const episode = await agent.run({ sessionId, prompt: "?", policyVersion, steps, userId });
        await agent.feedback(episode, 0, { score: good === (userId === "eve") ? -1 : 1 });
        await learner.settled();
      }
    const { version, quarantined, dropped, updates } = learner.report();
    expect(Object.keys(quarantined)).toEqual(["eve"]);
    expect(Math.min(dropped.quarantined, dropped.heldOut, updates)).toBeGreaterThan(2);
    expect(await learner.replay(version)).toEqual({ version, identical: true, differences: [] });
  });
});

describe("alarms", () => {
  it("are events and in the report, once for each cause", async () => {
    const started = await start({ drift: { kl: 0.005 } });
    await hold(started, sessions(12), alternately);
    const alarms = await told(started.log, "alarm");
    expect(alarms).toMatchObject([{ name: "kl-drift", severity: "warning", numbers: { kl: 0.01 }, sessionId: "" }]);
    expect(started.learner.report()).toMatchObject({ updates: 3, alarms: [{ name: "kl-drift" }] });
  });

  it("tell of a skill that a candidate forgot, and the gate refuses it though it is better on the whole", async () => {
    const scores = (version: string) =>
      Array.from({ length: 60 }, (_, i) => (version === "base" ? (i < 20 ? 1 : 0) : i < 20 ? 0 : 1));
    const suites = { sums: sessions(20).map((_, i) => i), powers: sessions(40).map((_, i) => 20 + i) };
    const started = await start({ gate: { evaluate: async (version) => scores(version), suites } });
    await hold(started, sessions(4), () => 1);
    const [alarm] = await told(started.log, "alarm");
    expect(alarm).toMatchObject({
      name: "forgetting",
      severity: "critical",
      numbers: { "suite sums": -1, "suite powers": 1 },
    });
    expect(started.learner.report()).toMatchObject({ version: "base", rejections: 1 });
    const without = await start({ gate: { evaluate: async (version) => scores(version) } });
    await hold(without, sessions(4), () => 1);
    expect(without.learner.report()).toMatchObject({ version: "v1", rejections: 0, alarms: [] });
  });

  it("tell of a user in quarantine, whose episodes are counted, until released", async () => {
    const started = await start({ batchEpisodes: 8 });
    const { learner, log, agent } = started;
    const say = async (userId: string, index: number, score: number) => {
      const steps = [{ text: `The answer is ${index}.` }];
      const sessionId = `${userId}-${index}`;
      const episode = await agent.run({ sessionId, prompt: "?", policyVersion: "base", steps, userId });
      await agent.feedback(episode, 0, { score });
    };
    for (let index = 0; index < 24; index++) {
      for (const userId of ["ann", "ben", "cid", "eve"]) await say(userId, index, userId === "eve" ? -1 : 1);
      await learner.settled();
    }
    expect(Object.keys(learner.report().quarantined)).toEqual(["eve"]);
    expect(learner.report().dropped.quarantined).toBeGreaterThan(3);
    const messages = (await told(log, "alarm")).map((event) => (event as { message: string }).message);
    expect(messages.filter((message) => message.startsWith('user "eve" contradicts')).length).toBe(1);
    await learner.releaseUser("eve");
    expect(learner.report().quarantined).toEqual({});
  });
});

describe("the schedule", () => {
  /** A clock whose sleepers wake when a test moves it. */
  function handClock(): Clock & { move(ms: number): Promise<void> } {
    let time = 1_000_000;
    let sleepers: { until: number; wake: () => void }[] = [];
    return {
      now: () => time,
      sleep: (ms, signal) =>
        new Promise((resolve, reject) => {
          sleepers.push({ until: time + ms, wake: resolve });
          signal.addEventListener("abort", () => reject(signal.reason), { once: true });
        }),
      async move(ms) {
        time += ms;
        const due = sleepers.filter(({ until }) => until <= time);
        sleepers = sleepers.filter(({ until }) => until > time);
        for (const { wake } of due) wake();
        await new Promise((resolve) => setImmediate(resolve));
      },
    };
  }

  it("judges at once and updates only after nothing happened for long enough", async () => {
    const clock = handClock();
    const started = await start({ clock, schedule: { idleMs: 1000 } });
    const { learner } = started;
    await hold(started, sessions(4), () => 1);
    expect(learner.report()).toMatchObject({ updates: 0, pending: 4 });
    await clock.move(600);
    await hold(started, sessions(1, "t"), () => 1);
    await clock.move(600);
    await learner.settled();
    expect(learner.report().updates).toBe(0);
    await clock.move(400);
    await learner.settled();
    expect(learner.report()).toMatchObject({ updates: 1, pending: 1 });
    await learner.stop();
  });

  it("updates only within its windows", async () => {
    const clock = handClock();
    // The clock stands at 00:16:40 UTC.
    const started = await start({ clock, schedule: { windows: [{ from: "00:30", to: "00:31" }] } });
    await hold(started, sessions(4), () => 1);
    expect(started.learner.report().updates).toBe(0);
    await clock.move(800_000);
    await started.learner.settled();
    expect(started.learner.report().updates).toBe(1);
    await clock.move(60_000);
    await hold(started, sessions(4, "t"), () => 1);
    expect(started.learner.report()).toMatchObject({ updates: 1, pending: 4 });
    await started.learner.stop();
  });

  it("holds an update that runs while users are active, and lets it go when they have gone", async () => {
    const clock = handClock();
    const holds: boolean[] = [];
    let finish = () => {};
    const trainer = fakeTrainer(() => 0);
    const slow = {
      ...trainer,
      hold: (held: boolean) => void holds.push(held),
      update: async (request: Parameters<typeof trainer.update>[0]) => {
        await new Promise<void>((resolve) => {
          finish = resolve;
        });
        return trainer.update(request);
      },
    };
    const started = await start({ clock, schedule: { idleMs: 1000 }, trainer: slow });
    const { learner, agent } = started;
    await hold(started, sessions(4), () => 1);
    await clock.move(1000);
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(holds.at(-1)).toBe(false);
    await agent.run({ sessionId: "t", prompt: "?", policyVersion: "base", steps: [{ text: "24" }] });
    expect(holds.at(-1)).toBe(true);
    await clock.move(1000);
    expect(holds.at(-1)).toBe(false);
    finish();
    await learner.settled();
    expect(learner.report().updates).toBe(1);
    learner.pause();
    expect(holds.at(-1)).toBe(true);
    learner.resume();
    expect(holds.at(-1)).toBe(false);
    await learner.stop();
  });

  it("keeps a partial batch over a pause at any point, and comes to the same weights", async () => {
    const run = async (pauseAt: number) => {
      const started = await start({ trainer: fakeTrainer(({ of }) => Number(of.episodeId.match(/\d+/)![0])) });
      for (const [index, id] of sessions(11).entries()) {
        if (index === pauseAt) started.learner.pause();
        await hold(started, [id], () => (index % 3 === 0 ? -1 : 1));
        if (index === pauseAt) {
          expect(started.learner.report().updates).toBe(Math.floor(index / 4));
          started.learner.resume();
        }
      }
      await started.learner.settled();
      return [...started.policy.weights(started.policy.serving).get("w")!.data];
    };
    const whole = await run(-1);
    for (let at = 0; at < 11; at++) expect(await run(at)).toEqual(whole);
  });
});
