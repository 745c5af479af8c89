import { expect, it } from "vitest";
import { runProgram, startProgram } from "./run-program.js";

const DEMO = "apps/demo/dist/main.js";
const MINUTES = 180_000;

interface Line {
  readonly type: string;
  readonly [key: string]: unknown;
}

const linesOf = (stdout: string): readonly Line[] =>
  stdout
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Line);

it("writes JSON only, the summary last; with the learner off nothing changes", { timeout: MINUTES }, async () => {
  const args = ["--exit", "--json", "--seed", "3", "--sessions", "4", "--learner", "off"];
  const { code, stdout, stderr } = await runProgram(DEMO, args);
  expect([code, stderr]).toEqual([0, ""]);
  const lines = linesOf(stdout);
  const summary = lines.at(-1)!;
  expect(summary).toMatchObject({
    type: "summary",
    sessions: 4,
    updates: 0,
    control: null,
    refused: 0,
    samplesLost: 0,
  });
  expect(lines.filter(({ type }) => type === "summary")).toHaveLength(1);
  const { successChange, preferenceChange, ...after } = summary.after as Record<string, unknown>;
  expect(after).toEqual(summary.before);
  expect([successChange, preferenceChange]).toEqual([
    [0, 0],
    [0, 0],
  ]);
});

it("stays up for chat, and ends in good order when it is asked to", { timeout: MINUTES }, async () => {
  const demo = startProgram(DEMO, ["--chat", "--json"]);
  const { page } = JSON.parse(await demo.line((line) => line.includes('"type":"ready"'))) as { page: string };
  const reply = await fetch(`${page}/api/chat`, {
    method: "POST",
    headers: { "content-type": "application/json", connection: "close" },
    body: JSON.stringify({ sessionId: "s", text: "What is 3^17 mod 41? Use the calculator." }),
  });
  expect(await reply.json()).toMatchObject({ answer: expect.stringContaining("3"), policyVersion: "base" });
  demo.kill("SIGTERM");
  const { code, stdout } = await demo.ended;
  expect(code).toBe(130);
  expect(linesOf(stdout).filter(({ type }) => type === "message")).toHaveLength(3);
});

it("is the same run with the same seed, whatever its timing", { timeout: 2 * MINUTES }, async () => {
  const told = async () => {
    const { code, stdout, stderr } = await runProgram(DEMO, ["--exit", "--json", "--seed", "7", "--sessions", "48"]);
    expect([code, stderr]).toEqual([0, ""]);
    return linesOf(stdout).filter(({ type }) =>
      ["session", "message", "update", "evaluation", "summary"].includes(type),
    );
  };
  const [one, other] = await Promise.all([told(), told()]);
  expect(one.filter(({ type }) => type === "update").length).toBeGreaterThan(2);
  const timeless = (lines: readonly Line[]) => JSON.stringify(lines).replace(/"seconds":[\d.]+/g, '"seconds":0');
  expect(timeless(one)).toBe(timeless(other));
});
