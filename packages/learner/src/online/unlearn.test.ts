import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AgentEvent } from "@afterstate/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { eventsIn, type HomeworkRun, homeworkRun, writeLog } from "../testing/homework-run.js";
import { digestsOf } from "../versions/version-files.js";
import { auditLearning } from "./audit-learning.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "afterstate-unlearn-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const servedBy = ({ policy }: HomeworkRun) =>
  digestsOf({ weights: policy.weights(policy.serving), optimizer: new Map() }).weights;
const usersOf = (events: readonly AgentEvent[]) =>
  events.flatMap((event) =>
    event.type === "episode-start" ? [{ user: event.userId!, session: event.sessionId }] : [],
  );

describe("a user who is unlearned", () => {
  it("is as if they had never been there, to the bit, while the old version serves", async () => {
    const run = await homeworkRun(join(folder, "all"), { seed: 5 });
    await run.hold(6);
    const before = run.learner.report();
    const recorded = await eventsIn(run.log);
    const { user } = usersOf(recorded)[0]!;
    const theirs = new Set(usersOf(recorded).flatMap((one) => (one.user === user ? [one.session] : [])));
    const whole = servedBy(run);

    const served: string[] = [];
    const unlearned = run.learner.unlearn(user);
    for (let over = false; !over; ) {
      served.push(run.policy.serving);
      over = await Promise.race([
        unlearned.then(() => true),
        new Promise<false>((go) => setImmediate(() => go(false))),
      ]);
    }
    const after = run.learner.report();
    expect([...new Set([...served, after.version])]).toEqual([before.version, after.version]);
    expect(after.version).toMatch(/^v\d+\.1$/);
    expect(after.updates).toBeGreaterThanOrEqual(3);

    const without = join(folder, "without");
    await writeLog(
      without,
      recorded.filter(({ sessionId }) => sessionId !== "" && !theirs.has(sessionId)),
    );
    const never = await homeworkRun(without, { seed: 5 });
    await never.learner.settled();
    expect(never.learner.report().updates).toBe(after.updates);
    const weights = servedBy(run);
    expect(weights).toEqual(servedBy(never));
    expect(weights).not.toEqual(whole);
    await never.close();

    // Nothing of the old line is left, on disk or to roll back to; the books add up, and the wish names nobody.
    const names = await readdir(join(folder, "all", "policies"));
    expect(names.filter((name) => name.startsWith("v") && !name.endsWith(".1"))).toEqual([]);
    await expect(run.learner.rollback(before.version)).rejects.toMatchObject({ code: "policy/unknown-version" });
    const audit = await auditLearning(run.log, run.store);
    expect(audit.problems).toEqual([]);
    expect(audit.dropped.unlearned).toBeGreaterThan(0);
    const wish = (await eventsIn(run.log)).find(({ type }) => type === "unlearn");
    expect(JSON.stringify(wish)).not.toContain(user);
    const record = await readFile(join(folder, "all", "policies", "serving"), "utf8");
    expect(JSON.parse(record)).toMatchObject({ line: 1 });
    await run.close();
  }, 60_000);
});
