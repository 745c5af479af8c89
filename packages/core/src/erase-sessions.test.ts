import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { eraseSessions } from "./erase-sessions.js";
import { openEventLog } from "./open-event-log.js";
import { numberedEvent, readLog } from "./testing/index.js";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "erase-sessions-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const filesOf = async () => {
  const names = (await readdir(directory)).filter((name) => name.endsWith(".log"));
  return Promise.all(names.map((name) => readFile(join(directory, name), "utf8")));
};

it("takes what was said in sessions out of every file, and leaves every other record at its offset", async () => {
  const log = await openEventLog(directory, { segmentBytes: 1000 });
  const events = Array.from({ length: 40 }, (_, i) => ({
    ...numberedEvent(i),
    sessionId: i % 4 === 1 ? "session-ann" : "session-bob",
  }));
  for (const event of events) await log.append(event);
  await log.close();
  expect((await filesOf()).length).toBeGreaterThan(3);

  expect(await eraseSessions(directory, new Set(["session-ann"]))).toBe(10);
  expect((await filesOf()).join("")).not.toContain("session-ann");
  expect(await eraseSessions(directory, new Set(["session-ann"]))).toBe(0);

  const again = await openEventLog(directory, { segmentBytes: 1000 });
  expect(await again.append(numberedEvent(40))).toBe(40);
  const records = await readLog(again);
  await again.close();
  for (const [offset, record] of records.slice(0, 40).entries()) {
    expect(record.offset).toBe(offset);
    if (offset % 4 === 1) expect(record.event).toMatchObject({ type: "erased", sessionId: "" });
    else expect(record.event).toEqual(events[offset]);
  }
});

it("is refused while the log is open", async () => {
  const log = await openEventLog(directory);
  await expect(eraseSessions(directory, new Set(["a"]))).rejects.toMatchObject({ code: "log/locked" });
  await log.close();
});
