import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { memoryEventLog } from "@afterstate/core";
import { afterEach, describe, expect, it } from "vitest";
import { ruleHintReader } from "../signals/rule-hint-reader.js";
import { ruleJudge } from "../signals/rule-judge.js";
import { fakePolicy, fakeTrainer } from "../testing/fake-policy.js";
import { loggedAgent } from "../testing/logged-agent.js";
import { openVersionStore } from "../versions/version-store.js";
import { onlineLearner } from "./online-learner.js";

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function startLearner(replayEpisodes: number) {
  const folder = await mkdtemp(join(tmpdir(), "afterstate-replayed-"));
  folders.push(folder);
  const log = memoryEventLog();
  const trainer = fakeTrainer(({ of }) => Number(of.episodeId.split("/")[1]));
  const learner = onlineLearner({
    policy: fakePolicy(),
    trainer,
    log,
    judge: ruleJudge(),
    hintReader: ruleHintReader(),
    store: await openVersionStore(folder),
    mode: "live",
    signals: "hybrid",
    batchEpisodes: 1,
    replayEpisodes,
    clock: { now: () => 7 },
  });
  const agent = loggedAgent(log);
  await learner.setup?.(agent.context);
  const ask = (prompt: string) => agent.run({ sessionId: "a", prompt, policyVersion: "base", steps: [{ text: "24" }] });
  return { learner, trainer, ask };
}

describe("updates with replay", () => {
  it("see the last episodes behind the new one, which alone is in the books as a sample", async () => {
    const { learner, trainer, ask } = await startLearner(2);
    await ask("1+1?");
    for (const verdict of ["No! Use my name.", "Great.", "Great.", "Great."]) await ask(`${verdict} What is 2+2?`);
    await learner.settled();
    const episodes = trainer.requests.map(({ samples }) => samples.map(({ of }) => of.episodeId));
    expect(episodes).toEqual([["a/0"], ["a/1", "a/0"], ["a/2", "a/0", "a/1"], ["a/3", "a/1", "a/2"]]);
    expect(learner.report()).toMatchObject({ updates: 4, samples: 4, replayed: 5, episodes: 4 });
    await learner.stop();
  });

  it("can be made again, bit for bit", async () => {
    const { learner, ask } = await startLearner(2);
    await ask("1+1?");
    for (const verdict of ["No! Use my name.", "Great.", "Just the number please."])
      await ask(`${verdict} What is 2+2?`);
    await learner.settled();
    expect(await learner.replay("v3")).toEqual({ version: "v3", identical: true, differences: [] });
    await learner.stop();
  });

  it("are refused a window that is no whole number", () => {
    const options = { policy: fakePolicy(), trainer: fakeTrainer(() => 0), log: memoryEventLog(), judge: ruleJudge() };
    expect(() => onlineLearner({ ...options, mode: "live", signals: "hybrid", replayEpisodes: -1 })).toThrow(
      "replayEpisodes is a whole number of at least 0, not -1",
    );
  });
});
