import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { runProgram, startProgram } from "./run-program.js";

const DEMO = "apps/demo/dist/main.js";
const MINUTES = 180_000;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "afterstate-test-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Line {
  readonly type: string;
  readonly index: number;
  readonly arm: string;
  readonly candidate: string;
  readonly promoted: boolean;
  readonly policyVersion: string;
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

it("goes on after kill -9 from the last promoted version, and holds every session once", {
  timeout: MINUTES,
}, async () => {
  const data = ["--data", join(folder, "agent"), "--json", "--seed", "1"];
  const first = startProgram(DEMO, [...data, "--sessions", "1000"]);
  const promotion = JSON.parse(await first.line((line) => /"type":"update".*"promoted":true/.test(line))) as Line;
  first.kill("SIGKILL");
  const killed = await first.ended;
  expect(killed.signal).toBe("SIGKILL");
  const held = linesOf(killed.stdout).filter(({ type }) => type === "session").length;

  const second = startProgram(DEMO, [...data, "--sessions", String(held + 32), "--exit"]);
  const { code, stdout, stderr } = await second.ended;
  expect([code, stderr]).toEqual([0, ""]);
  const lines = linesOf(stdout);
  expect(lines.find(({ type }) => type === "ready")?.policyVersion).toBe(promotion.candidate);
  const sessions = lines.filter(({ type, arm }) => type === "session" && arm === "learner").map(({ index }) => index);
  // What was open when it was killed is closed, and counts; no number comes twice.
  expect(sessions[0]).toBeGreaterThan(held);
  expect(new Set(sessions).size).toBe(sessions.length);
  expect(lines.at(-1)).toMatchObject({ type: "summary", refused: 0, samplesLost: 0 });
  const trained = await trainedSteps(join(folder, "agent", "policies"));
  expect(trained.length).toBeGreaterThan(0);
  expect(new Set(trained).size).toBe(trained.length);
});

/** Every step that some kept version was trained on. */
async function trainedSteps(policies: string): Promise<readonly string[]> {
  const versions = (await readdir(policies)).filter((name) => /^v\d+$/.test(name));
  const manifests = await Promise.all(versions.map((name) => readFile(join(policies, name, "manifest.json"), "utf8")));
  return manifests.flatMap((text) => {
    const { samples } = JSON.parse(text) as { samples: { of: { episodeId: string; stepIndex: number } }[] };
    return samples.map(({ of }) => `${of.episodeId} ${of.stepIndex}`);
  });
}

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
