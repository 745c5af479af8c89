import { AgentError } from "@afterstate/core";

/** Hours of a day, in a time zone: from `from` on, until before `to`; over midnight when `to` is the earlier one. */
export interface HourWindow {
  /** "HH:MM". */
  readonly from: string;
  readonly to: string;
  /** 0 is Sunday. Of the day on which the window begins. Default: every day. */
  readonly days?: readonly number[];
}

/** When updates may run. */
export interface UpdateSchedule {
  /** Milliseconds without any episode or reply that must have passed. Default 0. */
  readonly idleMs?: number;
  /** Default: always. */
  readonly windows?: readonly HourWindow[];
  /** IANA name, e.g. "Europe/Berlin". Default "UTC". */
  readonly timeZone?: string;
}

const MINUTE_MS = 60_000;
const DAY_MINUTES = 1440;

/** @throws AgentError `learner/bad-option` for an hour, a day or a time zone that there is not. */
export function assertSchedule({ idleMs = 0, windows = [], timeZone = "UTC" }: UpdateSchedule): void {
  if (!(idleMs >= 0)) throw new AgentError("learner/bad-option", `idleMs of the schedule is 0 or more, not ${idleMs}`);
  for (const { from, to, days = [] } of windows) {
    minuteOf(from);
    minuteOf(to);
    const wrong = days.find((day) => !Number.isInteger(day) || day < 0 || day > 6);
    if (wrong !== undefined)
      throw new AgentError("learner/bad-option", `a day of the schedule is 0 to 6 with Sunday as 0, not ${wrong}`);
  }
  try {
    new Intl.DateTimeFormat("en", { timeZone });
  } catch (cause) {
    const message = `the schedule's time zone "${timeZone}" is not known; give an IANA name, as "Europe/Berlin"`;
    throw new AgentError("learner/bad-option", message, { cause });
  }
}

/**
 * How long updates have to wait from now on, in milliseconds: 0 when they may run. To be asked again after that: it is the earliest
 * time, not a promise.
 *
 * @param lastActivity when something last happened, in the clock's milliseconds.
 */
export function waitFor(
  { idleMs = 0, windows, timeZone = "UTC" }: UpdateSchedule,
  now: number,
  lastActivity: number,
): number {
  const idle = Math.max(0, lastActivity + idleMs - now);
  if (windows === undefined) return idle;
  const at = now + idle;
  const { minute, day } = localTime(at, timeZone);
  const waits = windows.flatMap((window) => minutesUntil(window, minute, day));
  if (waits.length === 0) return idle;
  const minutes = Math.min(...waits);
  // Windows begin with a minute. A shift of the clock in between is found when it is asked again.
  return minutes === 0 ? idle : idle + minutes * MINUTE_MS - (at % MINUTE_MS);
}

/** Minutes until a window is open, over its days; none for a window without days. */
function minutesUntil({ from, to, days }: HourWindow, minute: number, day: number): number[] {
  const [begin, end] = [minuteOf(from), minuteOf(to)];
  const length = (end - begin + DAY_MINUTES) % DAY_MINUTES || DAY_MINUTES;
  return [-1, 0, 1, 2, 3, 4, 5, 6, 7].flatMap((ahead) => {
    if (days !== undefined && !days.includes((day + ahead + 7) % 7)) return [];
    const start = ahead * DAY_MINUTES + begin - minute;
    if (start > 0) return [start];
    return start + length > 0 ? [0] : [];
  });
}

function minuteOf(hour: string): number {
  const [, hours, minutes] = /^([01]?\d|2[0-4]):([0-5]\d)$/.exec(hour) ?? [];
  const minute = Number(hours) * 60 + Number(minutes);
  if (!(minute <= DAY_MINUTES))
    throw new AgentError("learner/bad-option", `an hour of the schedule is "00:00" to "24:00", not "${hour}"`);
  return minute % DAY_MINUTES;
}

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

function localTime(time: number, timeZone: string): { readonly minute: number; readonly day: number } {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone,
    weekday: "short",
    hour: "numeric",
    minute: "numeric",
    hourCycle: "h23",
  });
  const parts = Object.fromEntries(format.formatToParts(time).map(({ type, value }) => [type, value]));
  return { minute: Number(parts.hour) * 60 + Number(parts.minute), day: DAYS.indexOf(parts.weekday!) };
}
