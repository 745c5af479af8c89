import { expect, it } from "vitest";
import { jsonDisplay } from "./display-json.js";
import { plainLines, terminalDisplay } from "./display-terminal.js";
import { liveFrame } from "./live-frame.js";
import { emptyView, nextView } from "./live-view.js";
import type { Estimate, Measurement, Progress, Summary } from "./progress.js";

const estimate = (value: number): Estimate => ({ value, low: value - 0.04, high: value + 0.04, n: 400 });
const measurement = (success: number, preference: number, policyVersion: string): Measurement => ({
  policyVersion,
  success: estimate(success),
  preference: estimate(preference),
  toolRate: estimate(0.5),
});
const nothing = { value: 0, low: -0.03, high: 0.03 };

const summary: Summary = {
  type: "summary",
  backend: "wasm",
  sessions: 200,
  updates: 50,
  learner: {
    before: measurement(0.26, 0.09, "base"),
    after: measurement(0.91, 0.96, "v50"),
    change: { success: { value: 0.65, low: 0.6, high: 0.7 }, preference: { value: 0.87, low: 0.83, high: 0.9 } },
  },
  control: {
    before: measurement(0.26, 0.09, "base"),
    after: measurement(0.26, 0.09, "v50"),
    change: { success: nothing, preference: nothing },
  },
  refused: 0,
  samplesLost: 0,
  seconds: 123.456789,
};

const run: readonly Progress[] = [
  { type: "loading", text: "reading the policy" },
  {
    type: "ready",
    backend: "wasm",
    learner: "hybrid",
    control: false,
    seed: 7,
    parameters: 1_234_567,
    policyVersion: "base",
    heldOut: 400,
    sessions: 40,
    page: "http://127.0.0.1:4747",
  },
  { type: "evaluating", arm: "learner", completed: 100, total: 400 },
  { type: "evaluation", arm: "learner", session: 0, ...measurement(0.26, 0.09, "base") },
  {
    type: "message",
    arm: "learner",
    sessionId: "s1",
    from: "user",
    name: "Mia",
    text: "What is\n48/2?",
    policyVersion: "base",
  },
  {
    type: "session",
    arm: "learner",
    index: 20,
    total: 40,
    userId: "mia",
    questions: 4,
    success: 0.5,
    preference: 0.25,
    toolRate: 0.25,
    reward: -0.5,
    policyVersion: "base",
    refused: 0,
  },
  {
    type: "update",
    arm: "learner",
    index: 1,
    candidate: "v1",
    promoted: false,
    reason: "success fell",
    samples: 16,
    metrics: {},
  },
];

it("ends the JSON lines with the summary that scripts read", () => {
  const lines: string[] = [];
  const display = jsonDisplay((line) => lines.push(line));
  for (const progress of [...run, summary]) display.show(progress);
  expect(lines.every((line) => line.endsWith("}\n"))).toBe(true);
  const parsed = lines.map((line) => JSON.parse(line));
  expect(parsed.map(({ type }) => type)).toEqual([...run.map(({ type }) => type), "summary"]);
  const last = parsed.at(-1);
  expect(Object.keys(last)).toEqual(
    "type backend sessions updates before after control refused samplesLost seconds".split(" "),
  );
  expect(last.before).toEqual({
    success: 0.26,
    preference: 0.09,
    successInterval: [0.22, 0.3],
    preferenceInterval: [0.05, 0.13],
    toolRate: 0.5,
    n: 400,
    policyVersion: "base",
  });
  expect(last.after).toMatchObject({ success: 0.91, successChange: [0.6, 0.7], preferenceChange: [0.83, 0.9] });
  expect(last.control.after).toMatchObject({ success: 0.26, successChange: [-0.03, 0.03] });
  expect(last.seconds).toBe(123.457);
});

it("says so in the JSON summary when no control ran", () => {
  const { control: _, ...alone } = summary;
  const lines: string[] = [];
  jsonDisplay((line) => lines.push(line)).show(alone);
  expect(JSON.parse(lines[0]!).control).toBeNull();
});

it("writes plain lines where there is no terminal", () => {
  const written: string[] = [];
  const display = terminalDisplay({ write: (text) => written.push(text) });
  for (const progress of run) display.show(progress);
  expect(written.join("")).toBe(
    [
      "reading the policy …",
      "policy: 1,234,567 parameters on wasm, serving base",
      "page:   http://127.0.0.1:4747",
      "learner after 0 sessions, base: success 26 %, preference held 9 %, tool rate 50 % of 400 held-out questions",
      "learner session 20 of 40, serving base",
      "learner: candidate v1 does not serve: success fell",
      "",
    ].join("\n"),
  );
});

it("draws the progress so far within the width of the terminal", () => {
  const view = run.reduce(nextView, emptyView);
  for (const columns of [60, 80, 200]) {
    const frame = liveFrame(view, columns);
    expect(Math.max(...frame.map((line) => [...line].length))).toBeLessThan(columns);
    expect(frame.join("\n")).toContain("session 20 of 40");
    expect(frame.join("\n")).toContain("1 updates, 0 promoted · 0 refused · reward −0.50".slice(0, columns - 30));
    expect(frame.join("\n")).toContain("Mia        What is 48/2?");
  }
});

it("gives the cursor back when it stops drawing", () => {
  const written: string[] = [];
  const display = terminalDisplay({ isTTY: true, columns: 80, write: (text) => written.push(text) });
  for (const progress of [...run, summary]) display.show(progress);
  display.close();
  const text = written.join("");
  expect(text.lastIndexOf("\x1b[?25h")).toBeGreaterThan(text.lastIndexOf("\x1b[?25l"));
  expect(text).toContain("+65 points (+60 to +70)");
});

it("ends with a table of before and after beside the control", () => {
  expect(plainLines(summary)).toEqual([
    "",
    "                       before        after          change",
    "  agent    success     26 % (22–30)  91 % (87–95)   +65 points (+60 to +70)",
    "           preference  9 % (5–13)    96 % (92–100)  +87 points (+83 to +90)",
    "  control  success     26 % (22–30)  26 % (22–30)   0 points (−3 to +3)",
    "           preference  9 % (5–13)    9 % (5–13)     0 points (−3 to +3)",
    "",
    "  400 held-out questions, never trained on; 95 % intervals.",
    "  The control learned from votes shuffled between steps, and read no hints.",
    "  200 sessions, 50 updates, 0 requests refused, 0 samples lost, 123 s on wasm.",
    "",
  ]);
});
