import type { AgentEvent } from "../event.js";
import type { EventLog, LogRecord } from "../event-log.js";
import type { TestApi } from "./test-api.js";

/** The events that contract tests append: the n-th of a session. */
export function numberedEvent(n: number, text = `answer ${n}`): AgentEvent {
  return {
    id: `session/0#${n}`,
    time: n,
    sessionId: "session",
    episodeId: "session/0",
    stepIndex: -1,
    policyVersion: "test",
    type: "error",
    code: "test/numbered",
    message: text,
  };
}

/** All records of a log from an offset on. */
export async function readLog(log: EventLog, from = 0): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  for await (const record of log.read(from)) records.push(record);
  return records;
}

/** What every event log must do. `open` makes an empty one. */
export function eventLogContract(name: string, open: () => Promise<EventLog>, { describe, it, expect }: TestApi): void {
  const withLog = (body: (log: EventLog) => Promise<void>) => async () => {
    const log = await open();
    try {
      await body(log);
    } finally {
      await log.close();
    }
  };

  describe(`${name}, as an event log`, () => {
    it(
      "starts empty",
      withLog(async (log) => {
        expect(log.nextOffset).toBe(0);
        expect(log.cutBytes).toBe(0);
        expect(await readLog(log)).toEqual([]);
      }),
    );

    it(
      "gives consecutive offsets in the order of the calls, and reads the events back in that order",
      withLog(async (log) => {
        const events = Array.from({ length: 300 }, (_, n) => numberedEvent(n, `Grüße ${n} 👋\n${"x".repeat(n)}`));
        const appends = events.map((event) => log.append(event));
        expect(log.nextOffset).toBe(300);
        expect(await Promise.all(appends)).toEqual(events.map((_, n) => n));
        expect(await readLog(log)).toEqual(events.map((event, offset) => ({ offset, event })));
      }),
    );

    it(
      "reads from any offset on, and nothing past the end",
      withLog(async (log) => {
        for (let n = 0; n < 130; n++) void log.append(numberedEvent(n));
        for (const from of [1, 63, 64, 65, 129]) {
          const records = await readLog(log, from);
          expect(records.map(({ offset }) => offset)).toEqual(Array.from({ length: 130 - from }, (_, n) => from + n));
          expect(records[0]?.event).toEqual(numberedEvent(from));
        }
        expect(await readLog(log, 130)).toEqual([]);
        expect(await readLog(log, 1000)).toEqual([]);
      }),
    );

    it(
      "reads what was appended before the read, also when it was not acknowledged yet, and not what came later",
      withLog(async (log) => {
        void log.append(numberedEvent(0));
        void log.append(numberedEvent(1));
        const seen: number[] = [];
        for await (const { offset } of log.read(0)) {
          if (offset === 0) await log.append(numberedEvent(2));
          seen.push(offset);
        }
        expect(seen).toEqual([0, 1]);
        expect((await readLog(log, 2)).map(({ offset }) => offset)).toEqual([2]);
      }),
    );

    it("refuses to append once it is closed", async () => {
      const log = await open();
      await log.append(numberedEvent(0));
      await log.close();
      await log.close();
      await expect(log.append(numberedEvent(1))).rejects.toMatchObject({ code: "log/closed" });
    });
  });
}
