import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AgentEvent, eraseSessions } from "@afterstate/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EMPTY_CREDIT } from "../credit/step-credit.js";
import { NO_SAFETY } from "../safety/safety-state.js";
import { eventsIn, type HomeworkRun, homeworkRun, writeLog } from "../testing/homework-run.js";
import { digestsOf } from "../versions/version-files.js";
import { NO_COUNTS } from "../versions/version-manifest.js";
import { openVersionStore } from "../versions/version-store.js";
import { auditLearning } from "./audit-learning.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "afterstate-unlearn-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const servedBy = ({ policy }: HomeworkRun) =>
  digestsOf({ weights: policy.weights(policy.serving), optimizer: new Map() }).weights;
/** Of a learner that has learned nothing. */
const NOTHING_YET = {
  ...{ sequence: 0, lastBatch: 0, unlearnedUpTo: 0, version: "base", ancestors: [], lastNumber: 0 },
  ...{ learned: { offset: 0, consumed: [], credit: EMPTY_CREDIT }, rewards: {}, counts: NO_COUNTS, outbox: [] },
  safety: NO_SAFETY,
};
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
    expect(after.updates).toBeGreaterThanOrEqual(2);

    const without = join(folder, "without");
    await writeLog(
      without,
      recorded.filter(({ sessionId }) => sessionId !== "" && !theirs.has(sessionId)),
    );
    // Versions that the log names are not this learner's own: it calls its versions otherwise, as the new line does.
    await (await openVersionStore(join(without, "policies"))).point({
      ...(await run.store.pointer())!,
      ...NOTHING_YET,
    });
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

    // What they said can be erased as well: nothing that is left depends on it.
    expect(await eraseSessions(join(folder, "all", "events"), theirs)).toBeGreaterThan(0);
    const afterwards = await homeworkRun(join(folder, "all"), { seed: 5 });
    expect(afterwards.policy.serving).toBe(after.version);
    expect(await afterwards.learner.replay(after.version)).toMatchObject({ identical: true });
    const { problems, steps } = await auditLearning(afterwards.log, afterwards.store);
    expect(problems).toEqual([]);
    expect(steps).toBe(audit.steps);
    await afterwards.close();
  }, 120_000);
});
