import { spawn } from "node:child_process";
import { appendFile, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { openEventLog } from "./open-event-log.js";
import { createRandom } from "./random.js";
import { eventLogContract, numberedEvent, readLog } from "./testing/index.js";

/** What child processes import: Node cannot run the sources. */
const distribution = JSON.stringify(pathToFileURL(join(import.meta.dirname, "../dist/index.js")).href);

const directories: string[] = [];
const newDirectory = async () => {
  const directory = await mkdtemp(join(tmpdir(), "event-log-"));
  directories.push(directory);
  return directory;
};
afterEach(async () => {
  for (const directory of directories.splice(0)) await rm(directory, { recursive: true, force: true });
});

for (const fsync of ["always", "interval", "never"] as const) {
  eventLogContract(`openEventLog with fsync ${fsync}`, async () => openEventLog(await newDirectory(), { fsync }), {
    describe,
    it,
    expect,
  });
}
eventLogContract(
  "openEventLog with small segments",
  async () => openEventLog(await newDirectory(), { segmentBytes: 1000 }),
  { describe, it, expect },
);

/** A closed log of `count` events in one directory. */
const writtenLog = async (count: number, segmentBytes?: number) => {
  const directory = await newDirectory();
  const log = await openEventLog(directory, segmentBytes === undefined ? {} : { segmentBytes });
  for (let n = 0; n < count; n++) await log.append(numberedEvent(n));
  await log.close();
  return directory;
};
const firstFile = (directory: string) => join(directory, "00000001.log");

describe("openEventLog", () => {
  it("reads any events back after reopening, whatever the size of the segments", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ text: fc.string({ unit: "binary", maxLength: 200 }), pause: fc.boolean() }), {
          maxLength: 40,
        }),
        fc.integer({ min: 1, max: 2000 }),
        async (entries, segmentBytes) => {
          const directory = await newDirectory();
          const log = await openEventLog(directory, { segmentBytes, fsync: "never" });
          for (const [n, { text, pause }] of entries.entries()) {
            const appended = log.append(numberedEvent(n, text));
            if (pause) await appended;
          }
          await log.close();
          const reopened = await openEventLog(directory, { segmentBytes });
          expect(reopened.nextOffset).toBe(entries.length);
          const records = await readLog(reopened);
          await reopened.close();
          expect(records).toEqual(entries.map(({ text }, offset) => ({ offset, event: numberedEvent(offset, text) })));
        },
      ),
      { numRuns: 40, seed: 7 },
    );
  });

  it("goes on where it stopped, in a new segment when the last one is full", async () => {
    const directory = await writtenLog(10, 500);
    const before = (await readdir(directory)).length;
    const log = await openEventLog(directory, { segmentBytes: 500 });
    expect(await log.append(numberedEvent(10))).toBe(10);
    expect(await log.append(numberedEvent(11))).toBe(11);
    expect((await readLog(log)).map(({ event }) => event)).toEqual(
      Array.from({ length: 12 }, (_, n) => numberedEvent(n)),
    );
    expect((await readdir(directory)).filter((name) => name.endsWith(".log")).length).toBeGreaterThanOrEqual(before);
    await log.close();
  });

  it("cuts a torn tail of any length, reports it, and keeps every whole record", async () => {
    const directory = await writtenLog(3);
    const whole = await readFile(firstFile(directory));
    const size = whole.length / 3;
    for (let cut = 1; cut < size; cut += 7) {
      await writeFile(firstFile(directory), whole.subarray(0, whole.length - cut));
      const log = await openEventLog(directory);
      expect(log.nextOffset).toBe(2);
      expect(log.cutBytes).toBe(size - cut);
      await log.append(numberedEvent(2));
      expect((await readLog(log)).map(({ event }) => event)).toEqual([0, 1, 2].map((n) => numberedEvent(n)));
      await log.close();
    }
  });

  it("cuts a tail of zeros, which a power cut can leave", async () => {
    const directory = await writtenLog(2);
    await appendFile(firstFile(directory), Buffer.alloc(5000));
    const log = await openEventLog(directory);
    expect([log.nextOffset, log.cutBytes]).toEqual([2, 5000]);
    await log.close();
  });

  it("refuses a log that is damaged in the middle, naming file and place", async () => {
    const directory = await writtenLog(3);
    const bytes = await readFile(firstFile(directory));
    const size = bytes.length / 3;
    bytes[size + 30]! ^= 1;
    await writeFile(firstFile(directory), bytes);
    await expect(openEventLog(directory)).rejects.toMatchObject({
      code: "log/corrupt",
      message: `the event log file "${firstFile(directory)}" is corrupt at byte ${size} (record 1); restore the file from a copy, or move the log away to start a new one`,
    });
    // the lock was given back: the damage mended, it opens
    bytes[size + 30]! ^= 1;
    await writeFile(firstFile(directory), bytes);
    await (await openEventLog(directory)).close();
  });

  it("refuses a damaged length in the middle, which would look like a torn tail", async () => {
    const directory = await writtenLog(3);
    const bytes = await readFile(firstFile(directory));
    bytes.writeUInt32LE(1 << 30, 4);
    await writeFile(firstFile(directory), bytes);
    await expect(openEventLog(directory)).rejects.toMatchObject({ code: "log/corrupt" });
  });

  it("refuses an earlier segment that is cut short or missing", async () => {
    const directory = await writtenLog(12, 500);
    const { size } = await stat(firstFile(directory));
    await truncate(firstFile(directory), size - 1);
    await expect(openEventLog(directory)).rejects.toMatchObject({ code: "log/corrupt" });
    await rm(firstFile(directory));
    await expect(openEventLog(directory)).rejects.toMatchObject({
      code: "log/corrupt",
      message: expect.stringContaining("00000001.log"),
    });
  });

  it("has one writer: a second is refused until the first closes", async () => {
    const directory = await newDirectory();
    const log = await openEventLog(directory);
    await expect(openEventLog(directory)).rejects.toMatchObject({ code: "log/locked" });
    await log.close();
    await (await openEventLog(directory)).close();
  });

  it("takes over the lock of a process that no longer lives, or whose id went to another one", async () => {
    const directory = await newDirectory();
    const dead = spawn(process.execPath, ["-e", ""]);
    await new Promise((resolve) => dead.on("exit", resolve));
    for (const holder of [{ pid: dead.pid, started: "1" }, { pid: process.pid, started: "1" }, "garbage"]) {
      await writeFile(join(directory, "lock"), JSON.stringify(holder));
      await (await openEventLog(directory)).close();
    }
    expect(await readdir(directory)).toEqual([]);
  });

  it("says in one sentence that a directory cannot be used", async () => {
    const file = join(await newDirectory(), "file");
    await writeFile(file, "");
    await expect(openEventLog(join(file, "events"))).rejects.toMatchObject({
      code: "log/unusable",
      message: expect.stringMatching(/^the event log directory ".*events" cannot be used: ENOTDIR.*choose a directory/),
    });
  });

  it("rejects an event that JSON cannot hold without losing an offset", async () => {
    const log = await openEventLog(await newDirectory());
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    await expect(log.append({ ...numberedEvent(0), circular } as never)).rejects.toThrow(/circular/);
    expect(await log.append(numberedEvent(0))).toBe(0);
    await log.close();
  });
});

describe("an event log on a full disk", () => {
  it("says so, skips no offset, goes on when there is space again, and is sound when reopened", async () => {
    const directory = await newDirectory();
    const script = join(await newDirectory(), "writer.mjs");
    await writeFile(
      script,
      `import { openEventLog } from ${distribution};
      const log = await openEventLog(${JSON.stringify(directory)});
      const event = (n, size) => ({ id: String(n), time: 0, sessionId: "s", episodeId: "s/0", stepIndex: -1, policyVersion: "v", type: "error", code: "c", message: "x".repeat(size) });
      const kept = await Promise.all([log.append(event(0, 3000)), log.append(event(1, 3000))]);
      const refused = await Promise.allSettled([log.append(event(2, 9000)), log.append(event(3, 10))]);
      const after = await log.append(event(2, 10));
      await log.close();
      console.log(JSON.stringify({ kept, after, refused: refused.map(({ reason }) => [reason.code, reason.message]) }));`,
    );
    // files may grow to 20 blocks of 512 bytes
    const child = spawn("sh", ["-c", 'ulimit -f 20 && exec "$0" "$1"', process.execPath, script]);
    let output = "";
    child.stdout.on("data", (data) => {
      output += data;
    });
    await new Promise((resolve) => child.on("close", resolve));
    const message = expect.stringMatching(
      /^the event log could not write ".*00000001.log": EFBIG.*; free space or mend/,
    );
    expect(JSON.parse(output)).toEqual({
      kept: [0, 1],
      after: 2,
      refused: [
        ["log/write-failed", message],
        ["log/write-failed", message],
      ],
    });
    const log = await openEventLog(directory);
    expect((await readLog(log)).map(({ event }) => event.id)).toEqual(["0", "1", "2"]);
    expect(log.cutBytes).toBe(0);
    await log.close();
  });
});

describe("an event log whose process is killed", () => {
  const writer = `
    import { openEventLog, createRandom } from ${distribution};
    const [directory, fsync, first] = process.argv.slice(2);
    const log = await openEventLog(directory, { fsync, segmentBytes: 20000 });
    const random = createRandom(Number(first));
    for (;;) {
      const batch = [];
      for (let n = 1 + random.integer(5); n > 0; n--) {
        const id = String(log.nextOffset);
        const event = { id, time: 0, sessionId: "s", episodeId: "s/0", stepIndex: -1, policyVersion: "v", type: "error", code: "c", message: "x".repeat(random.integer(3000)) };
        batch.push(log.append(event).then((offset) => process.stdout.write(offset + "\\n")));
      }
      await Promise.all(batch);
    }`;

  for (const fsync of ["always", "interval"] as const) {
    it(`has every acknowledged record when it is reopened (fsync ${fsync})`, async () => {
      const directory = await newDirectory();
      const script = join(await newDirectory(), "writer.mjs");
      await writeFile(script, writer);
      const random = createRandom(11);
      let acknowledged = -1;
      for (let round = 0; round < 6; round++) {
        const child = spawn(process.execPath, [script, directory, fsync, String(round)]);
        let output = "";
        let trouble = "";
        const enough = 20 + random.integer(400);
        child.stderr.on("data", (data) => {
          trouble += data;
        });
        child.stdout.on("data", (data) => {
          output += data;
          if (output.split("\n").length > enough) child.kill("SIGKILL");
        });
        await new Promise((resolve) => child.on("close", resolve));
        expect(trouble).toBe("");
        const offsets = output.split("\n").slice(0, -1).map(Number);
        expect(offsets.length).toBeGreaterThanOrEqual(enough - 1);
        acknowledged = Math.max(acknowledged, ...offsets);

        const log = await openEventLog(directory, { segmentBytes: 20000 });
        expect(log.nextOffset).toBeGreaterThan(acknowledged);
        const records = await readLog(log);
        expect(records.map(({ event }) => event.id)).toEqual(records.map(({ offset }) => String(offset)));
        expect(records.length).toBe(log.nextOffset);
        await log.close();
      }
    });
  }
});
