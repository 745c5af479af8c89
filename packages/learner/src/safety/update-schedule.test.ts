import { describe, expect, it } from "vitest";
import { assertSchedule, waitFor } from "./update-schedule.js";

const MINUTE = 60_000;
const at = (text: string) => Date.parse(text);
/** From 22 o'clock to 6 in Berlin: 20:00 to 04:00 UTC in summer, 21:00 to 05:00 in winter. */
const nightly = { windows: [{ from: "22:00", to: "06:00" }], timeZone: "Europe/Berlin" };

describe("a schedule of updates", () => {
  it("lets them run at once when it asks for nothing", () => {
    expect(waitFor({}, 5, 5)).toBe(0);
  });

  it("waits until nothing has happened for long enough", () => {
    expect(waitFor({ idleMs: 1000 }, 10_300, 10_000)).toBe(700);
    expect(waitFor({ idleMs: 1000 }, 11_000, 10_000)).toBe(0);
  });

  it("waits for the window to open, in its time zone, in summer and winter", () => {
    const summer = at("2026-07-01T19:58:30Z");
    expect(waitFor(nightly, summer, 0)).toBe(1.5 * MINUTE);
    expect(waitFor(nightly, at("2026-07-01T20:00:00Z"), 0)).toBe(0);
    expect(waitFor(nightly, at("2026-07-02T03:59:59Z"), 0)).toBe(0);
    expect(waitFor(nightly, at("2026-07-02T04:00:00Z"), 0)).toBe(16 * 60 * MINUTE);
    expect(waitFor(nightly, at("2026-12-01T20:59:00Z"), 0)).toBe(MINUTE);
    expect(waitFor(nightly, at("2026-12-01T21:00:00Z"), 0)).toBe(0);
  });

  it("counts a window over midnight to the day on which it begins", () => {
    const friday = { windows: [{ from: "22:00", to: "06:00", days: [5] }] };
    // 2026-07-03 is a Friday.
    expect(waitFor(friday, at("2026-07-03T21:00:00Z"), 0)).toBe(60 * MINUTE);
    expect(waitFor(friday, at("2026-07-04T05:59:00Z"), 0)).toBe(0);
    expect(waitFor(friday, at("2026-07-04T22:30:00Z"), 0)).toBe((5 * 24 + 23.5) * 60 * MINUTE);
  });

  it("looks for a window from when it will be idle", () => {
    const now = at("2026-07-02T03:59:00Z");
    expect(waitFor({ ...nightly, idleMs: 2 * MINUTE }, now, now)).toBe(2 * MINUTE + (16 * 60 - 1) * MINUTE);
  });

  it("never opens for a window without days", () => {
    expect(waitFor({ windows: [] }, 0, 0)).toBe(0);
    expect(waitFor({ windows: [{ from: "00:00", to: "00:00" }] }, at("2026-07-02T03:59:00Z"), 0)).toBe(0);
  });

  it("is refused when it names an hour, a day or a time zone that there is not", () => {
    const bad = [
      { windows: [{ from: "25:00", to: "06:00" }] },
      { windows: [{ from: "9", to: "10:00" }] },
      { windows: [{ from: "09:00", to: "10:00", days: [7] }] },
      { timeZone: "Atlantis/Capital" },
      { idleMs: -1 },
    ];
    for (const schedule of bad) expect(() => assertSchedule(schedule)).toThrow(/schedule/);
    expect(() => assertSchedule(nightly)).not.toThrow();
  });
});
