import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { memoryEventLog } from "@afterstate/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { countsOf, type FakeLearner, fakeLearner } from "../testing/fake-learner.js";
import { loggedAgent } from "../testing/logged-agent.js";
import { openVersionStore, type VersionStore } from "../versions/version-store.js";
import { auditLearning } from "./audit-learning.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "afterstate-unlearned-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Two rounds of advice in each session: two episodes that are trained on, and one that waits. */
async function converse({ ask, learner }: FakeLearner, sessions: Readonly<Record<string, string>>) {
  for (const [sessionId, userId] of Object.entries(sessions)) {
    await ask(sessionId, "What is 48/2?", userId);
    await ask(sessionId, "Just the number please. What is 3*8?", userId);
    await ask(sessionId, "Use my name.", userId);
  }
  await learner.settled();
}

/** Learns from three users and unlearns the first, hangs for ever at a boundary as a killed process does, and starts again. */
async function unlearnUntil(limit: number) {
  const place = await mkdtemp(join(folder, "run-"));
  const log = memoryEventLog();
  const agent = loggedAgent(log);
  const first = await fakeLearner({ log, store: await openVersionStore(place) }, agent);
  for (const [sessionId, userId] of Object.entries({ a: "ann", b: "bob", c: "cyd" })) {
    await first.ask(sessionId, "What is 48/2?", userId);
    await first.ask(sessionId, "Just the number please. What is 3*8?", userId);
  }
  await first.learner.settled();
  await first.learner.stop();

  let [passed, kill] = [0, () => {}];
  const killed = new Promise<void>((resolve) => {
    kill = resolve;
  });
  const around =
    <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      const boundary = () => (passed++ < limit ? undefined : new Promise<void>(kill));
      await boundary();
      const result = await call(...args);
      await boundary();
      return result;
    };
  const watched = (store: VersionStore): VersionStore => ({
    ...store,
    write: around(store.write),
    writeBatch: around(store.writeBatch),
    point: around(store.point),
    prune: around(store.prune),
    adoptNextLine: around(store.adoptNextLine),
    async nextLine(upTo) {
      const next = await store.nextLine(upTo);
      return { ...next, store: watched(next.store) };
    },
  });
  const context = { ...agent.context, emit: around(agent.context.emit) };
  const store = watched(await openVersionStore(place));
  const second = await fakeLearner({ log, store }, { ...agent, context });
  await Promise.race([second.learner.unlearn("ann"), killed]);

  const again = await fakeLearner({ log, store: await openVersionStore(place) }, agent);
  await again.learner.unlearn("ann");
  const { problems } = await auditLearning(log, await openVersionStore(place));
  return { counts: countsOf(again.policy, 3), version: again.policy.serving, problems, passed };
}

describe("users who are not to be learned from", () => {
  it("leave no trace of sessions that were trained on, those of others keep theirs", async () => {
    const fake = await fakeLearner({ store: await openVersionStore(folder) });
    await converse(fake, { a: "ann", b: "bob", c: "ann" });
    expect(countsOf(fake.policy, 3)).toEqual([2, 2, 2]);
    await fake.learner.unlearn("ann");
    expect(fake.policy.serving).toBe("v2.1");
    expect(countsOf(fake.policy, 3)).toEqual([0, 2, 0]);
    expect(fake.policy.loaded).toEqual(["base", "v2.1"]);
    expect(fake.learner.report()).toMatchObject({ samples: 2, updates: 2 });
    await expect(fake.learner.rollback("v5")).rejects.toMatchObject({ code: "policy/unknown-version" });
    expect(await auditLearning(fake.log, await openVersionStore(folder))).toMatchObject({ problems: [], trained: 2 });
  });

  it("are left out of later sessions too, also after a restart, until the wish is lifted", async () => {
    const log = memoryEventLog();
    const agent = loggedAgent(log);
    const fake = await fakeLearner({ log, store: await openVersionStore(folder) }, agent);
    await fake.learner.unlearn("ann");
    expect(fake.policy.serving).toBe("base");
    await converse(fake, { a: "ann", b: "bob" });
    expect(countsOf(fake.policy, 2)).toEqual([0, 2]);
    await fake.learner.stop();

    const again = await fakeLearner({ log, store: await openVersionStore(folder) }, agent);
    await converse(again, { c: "ann", d: "bob" });
    expect(countsOf(again.policy, 4)).toEqual([0, 2, 0, 2]);
    await again.learner.learnFromAgain("ann");
    await converse(again, { a: "ann", e: "ann" });
    expect(countsOf(again.policy, 5)).toEqual([0, 2, 0, 2, 2]);
    const { dropped } = again.learner.report();
    expect(dropped.unlearned).toBeGreaterThan(3);
  });

  it("take a whole session with them that they shared", async () => {
    const fake = await fakeLearner({ store: await openVersionStore(folder) });
    await fake.ask("a", "What is 48/2?", "bob");
    await fake.ask("a", "Just the number please. What is 3*8?", "ann");
    await fake.ask("a", "Use my name.", "bob");
    await fake.learner.settled();
    expect(countsOf(fake.policy, 1)).toEqual([2]);
    await fake.learner.unlearn("ann");
    expect(countsOf(fake.policy, 1)).toEqual([0]);
    expect(fake.policy.serving).toBe("base");
  });

  it("are unlearned at the next start wherever a stop came", async () => {
    const whole = await unlearnUntil(Number.POSITIVE_INFINITY);
    expect(whole.passed).toBeGreaterThan(20);
    expect(whole.counts).toEqual([0, 1, 1]);
    for (let limit = 0; limit < whole.passed; limit++) {
      const { counts, version, problems } = await unlearnUntil(limit);
      expect({ limit, counts, version, problems }).toEqual({ limit, counts: [0, 1, 1], version: "v2.1", problems: [] });
    }
  });

  it("need a store to be forgotten", async () => {
    const fake = await fakeLearner();
    await expect(fake.learner.unlearn("ann")).rejects.toMatchObject({ code: "learner/no-store" });
  });
});
