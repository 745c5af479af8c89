import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { fakeLearner } from "../testing/fake-learner.js";
import { openVersionStore } from "../versions/version-store.js";
import { auditLearning } from "./audit-learning.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "afterstate-explain-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const first = { episodeId: "a/0", stepIndex: 0 };

describe("what a learner says of a step", () => {
  it("names who judged it, its reward, what that was compared with, its advice, and the version that came of it", async () => {
    const { learner, ask } = await fakeLearner({ store: await openVersionStore(folder), credit: { lambda: 1 } });
    await ask("b", "What is 48/2?");
    await ask("b", "Great. What is 3*8?");
    await ask("a", "What is 48/2?");
    await ask("a", "No! Just the number please.");
    await learner.settled();
    // V("user") is 0 before the first batch, and the first reward, 1, after it: −1 − 1 = −2.
    expect(await learner.explain({ episodeId: "b/0", stepIndex: 0 })).toMatchObject({
      reward: 1,
      credit: { advantages: [1, 1, 0], value: 0 },
      hints: [],
      fate: { state: "trained", batch: 1, candidate: "v1", accepted: true, promoted: true, inServingVersion: true },
    });
    expect(await learner.explain(first)).toMatchObject({
      signals: [
        { kind: "reward", source: "rules", value: -1, reliability: expect.any(Number) },
        { kind: "hint", text: "Just the number please." },
      ],
      reward: -1,
      credit: { advantages: [-2, -2, 0], value: 1 },
      hints: [{ text: "Just the number please.", taught: true }],
      fate: { state: "trained", candidate: "v2" },
    });
  });

  it("says why it was not trained on, or that it waits", async () => {
    const { learner, ask, agent } = await fakeLearner({ maxStaleness: 0, batchEpisodes: 1 });
    await ask("a", "What is 48/2?");
    await ask("b", "What is 48/2?");
    await ask("a", "Great. What is 3*8?");
    await ask("b", "No, that's wrong.");
    await learner.settled();
    await agent.run({ sessionId: "c", prompt: "Hi", policyVersion: "v1", steps: [{ text: "Hi!", tokens: false }] });
    await ask("c", "Great.");
    await ask("a", "No, that's wrong.");
    await learner.settled();
    const fateOf = async (episodeId: string) => (await learner.explain({ episodeId, stepIndex: 0 })).fate;
    expect(await fateOf("a/0")).toMatchObject({ state: "trained", candidate: "v1" });
    expect(await fateOf("b/0")).toMatchObject({ state: "dropped", reason: "stale" });
    expect(await fateOf("c/0")).toMatchObject({ state: "dropped", reason: "noTokens" });
    expect(await fateOf("a/2")).toEqual({ state: "waiting" });
    expect(await fateOf("z/9")).toEqual({ state: "unknown" });
  });

  it("says which advice was not accepted, and why", async () => {
    const hintAcceptance = { measure: async () => ({ effect: 0.1, rejected: "it changes nothing" }) };
    const { learner, ask } = await fakeLearner({ hintAcceptance });
    await ask("a", "What is 48/2?");
    await ask("a", "No! Just the number please.");
    await learner.settled();
    const { hints } = await learner.explain(first);
    expect(hints).toEqual([{ text: "Just the number please.", taught: false, rejected: "it changes nothing" }]);
  });

  it("says that its update was held back", async () => {
    const evaluate = async (version: string) => Array.from({ length: 20 }, () => (version === "base" ? 0.9 : 0.1));
    const { learner, ask } = await fakeLearner({ gate: { evaluate } });
    await ask("a", "What is 48/2?");
    await ask("a", "Great. What is 3*8?");
    await learner.settled();
    const held = { state: "trained", candidate: "v1", accepted: false, promoted: false, inServingVersion: false };
    expect((await learner.explain(first)).fate).toMatchObject(held);
  });
});

describe("an episode that something else is said about", () => {
  it("is judged again and trained on once, though its first judgement waits in a batch that another one fills", async () => {
    const store = await openVersionStore(folder);
    const { learner, trainer, ask, agent, log } = await fakeLearner({ store, batchEpisodes: 2 });
    await ask("b", "What is 48/2?");
    const praised = await ask("b", "Great. What is 3*8?");
    await learner.settled();
    learner.pause();
    await ask("a", "What is 48/2?");
    await ask("a", "Great. What is 3*8?");
    await agent.feedback("b/0", 0, { score: -1 });
    learner.resume();
    await learner.settled();
    await ask("b", "Great, thanks!");
    await learner.settled();
    const trained = trainer.requests.flatMap(({ samples }) => samples.map(({ of }) => of.episodeId));
    expect(trained.toSorted()).toEqual(["a/0", "b/0"]);
    expect(praised).toBe("b/1");
    expect((await auditLearning(log, store)).problems).toEqual([]);
    const [sample] = trainer.requests[0]!.samples.filter(({ of }) => of.episodeId === "b/0");
    expect(sample!.advantages[0]).toBeLessThan(0);
  });
});

describe("what a process that is gone left unfinished", () => {
  it("is given up at the next start, and holds nothing up", async () => {
    const first = await fakeLearner({ store: await openVersionStore(folder) });
    await first.ask("a", "What is 48/2?");
    for await (const { event } of first.log.read(0)) {
      // As much of a second session as a crash leaves.
      if (event.type === "episode-end" || event.type === "policy-update") continue;
      await first.log.append({ ...event, id: `cut-${event.id}`, sessionId: "b", episodeId: "b/0" });
    }
    await first.learner.stop();
    const store = await openVersionStore(folder);
    const second = await fakeLearner({ log: first.log, store, batchEpisodes: 1 }, first.agent);
    await second.ask("a", "Great. What is 3*8?");
    await second.learner.settled();
    const cut = { episodeId: "b/0", stepIndex: 0 };
    expect((await second.learner.explain(cut)).fate).toMatchObject({ state: "dropped", reason: "unanswered" });
    const { learned } = (await store.pointer())!;
    expect(learned.offset).toBeGreaterThan(5);
    expect(second.learner.report()).toMatchObject({ samples: 1, dropped: { unanswered: 1 } });
    expect((await auditLearning(first.log, store)).problems).toEqual([]);
  });
});
