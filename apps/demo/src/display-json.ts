import type { Comparison, Display, Estimate, Measurement, Summary } from "./progress.js";

/** Writes every progress object as one JSON line. `write` gets the line with its newline. */
export function jsonDisplay(write: (line: string) => void): Display {
  return {
    show(progress) {
      const line = progress.type === "summary" ? summaryLine(progress) : progress;
      write(`${JSON.stringify(line, (_key, value) => (typeof value === "number" ? shortened(value) : value))}\n`);
    },
    close: () => {},
  };
}

/** The summary in the shape that scripts read: shares at the top, their intervals beside them. */
export function summaryLine(summary: Summary): Readonly<Record<string, unknown>> {
  return {
    type: "summary",
    backend: summary.backend,
    sessions: summary.sessions,
    updates: summary.updates,
    ...comparison(summary.learner),
    control: summary.control === undefined ? null : comparison(summary.control),
    refused: summary.refused,
    samplesLost: summary.samplesLost,
    seconds: summary.seconds,
  };
}

function comparison({ before, after, change }: Comparison) {
  return {
    before: measurement(before),
    after: {
      ...measurement(after),
      successChange: [round(change.success.low), round(change.success.high)],
      preferenceChange: [round(change.preference.low), round(change.preference.high)],
    },
  };
}

function measurement({ success, preference, toolRate, policyVersion }: Measurement) {
  return {
    success: round(success.value),
    preference: round(preference.value),
    successInterval: interval(success),
    preferenceInterval: interval(preference),
    toolRate: round(toolRate.value),
    n: success.n,
    policyVersion,
  };
}

/** Six significant digits; whole numbers as they are. */
const shortened = (value: number) => (Number.isInteger(value) ? value : Number(value.toPrecision(6)));
const interval = ({ low, high }: Estimate) => [round(low), round(high)];
const round = (value: number) => Math.round(value * 10_000) / 10_000;
