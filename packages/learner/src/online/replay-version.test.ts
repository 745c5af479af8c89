import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type HomeworkRun, homeworkRun } from "../testing/homework-run.js";
import { auditLearning } from "./audit-learning.js";

describe("a version of the embedded policy that is made again", () => {
  let folder: string;
  let run: HomeworkRun;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "afterstate-replay-"));
    const first = await homeworkRun(folder, { seed: 5, keepVersions: 1 });
    await first.hold(3);
    await first.close();
    const second = await homeworkRun(folder, { seed: 6, firstSession: 4, keepVersions: 1 });
    await second.hold(3);
    await second.close();
    run = await homeworkRun(folder, { seed: 7, keepVersions: 1 });
  }, 60_000);
  afterAll(async () => {
    await run?.close();
    await rm(folder, { recursive: true, force: true });
  });

  it("is the same to the bit in another process, though its parents were pruned", async () => {
    const { version, updates } = run.learner.report();
    expect(updates).toBeGreaterThanOrEqual(3);
    expect((await readdir(join(folder, "policies"))).filter((name) => name.startsWith("v"))).toEqual([version]);
    for (let number = 1; number <= updates; number++)
      expect(await run.learner.replay(`v${number}`)).toEqual({
        version: `v${number}`,
        identical: true,
        differences: [],
      });
  }, 60_000);

  it("is told apart when it depended on something else", async () => {
    const { version } = run.learner.report();
    const record = (await recordOf(version))!;
    const update = record.update!;
    const changed = {
      ...update,
      recipe: { ...update.recipe, update: { ...update.recipe.update, learningRate: 1e-4 } },
    };
    const unsaid = record.episodes.map((episode) => ({ ...episode, signals: [...episode.signals, "nobody said so"] }));
    await run.store.writeBatch({ ...record, update: changed });
    const moved = await run.learner.replay(version);
    await run.store.writeBatch({ ...record, episodes: unsaid });
    const lacking = await run.learner.replay(version);
    await run.store.writeBatch(record);
    expect(moved).toMatchObject({ identical: false });
    expect(moved.differences[0]).toContain(`the weights of ${version} are not what they were`);
    expect(lacking.differences).toContain('the log has no signal "nobody said so"');
    expect(await run.learner.replay(version)).toMatchObject({ identical: true });
  }, 60_000);

  async function recordOf(version: string) {
    for (const sequence of await run.store.batches()) {
      const record = await run.store.batch(sequence);
      if (record.update?.candidate === version) return record;
    }
    return undefined;
  }

  it("is refused when no update made it", async () => {
    await expect(run.learner.replay("v99")).rejects.toMatchObject({ code: "policy/unknown-version" });
  });

  it("leaves books that add up: every step of the log is trained on once, dropped for a reason, or waits", async () => {
    const audit = await auditLearning(run.log, run.store);
    expect(audit.problems).toEqual([]);
    const dropped = Object.values(audit.dropped).reduce((sum, count) => sum + count, 0);
    expect(audit.trained).toBeGreaterThan(8);
    expect(audit.steps).toBe(audit.trained + dropped + audit.waiting);
  });
});
