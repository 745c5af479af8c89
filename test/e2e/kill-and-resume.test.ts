import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { openEventLog } from "@afterstate/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const MAIN = fileURLToPath(new URL("../../apps/demo/dist/main.js", import.meta.url));
const SESSIONS = 64;

type Line = Readonly<Record<string, unknown>> & { readonly type: string };

/** Runs the demo until a line makes `until` true, then sends the signal and waits for the end. */
async function demo(data: string, signal: NodeJS.Signals, until: (line: Line) => boolean): Promise<readonly Line[]> {
  const options = ["--json", "--exit", "--seed", "7", "--sessions", String(SESSIONS), "--data", data];
  const child: ChildProcess = spawn(process.execPath, [MAIN, ...options], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.on("exit", resolve));
  const lines: Line[] = [];
  let signalled = false;
  for await (const text of createInterface({ input: child.stdout! })) {
    const line = JSON.parse(text) as Line;
    lines.push(line);
    if (!signalled && until(line)) {
      signalled = true;
      child.kill(signal);
    }
  }
  await ended;
  return lines;
}

interface Manifest {
  readonly version: string;
  readonly parent: string;
  readonly samples: readonly { readonly of: { readonly episodeId: string; readonly stepIndex: number } }[];
}

async function manifests(data: string): Promise<readonly Manifest[]> {
  const folder = join(data, "policies");
  const versions = (await readdir(folder)).filter((name) => /^v\d+$/.test(name));
  return Promise.all(
    versions.map(async (name) => JSON.parse(await readFile(join(folder, name, "manifest.json"), "utf8")) as Manifest),
  );
}

const serving = async (data: string) =>
  JSON.parse(await readFile(join(data, "policies", "serving"), "utf8")) as { readonly version: string };

describe("a demo that is killed in the middle and started again", () => {
  let data = "";
  beforeAll(async () => {
    data = await mkdtemp(join(tmpdir(), "afterstate-e2e-"));
  });
  afterAll(() => rm(data, { recursive: true, force: true }));

  it("goes on from the last promoted version, with nothing lost and nothing counted twice", {
    timeout: 240_000,
  }, async () => {
    let updates = 0;
    await demo(data, "SIGKILL", ({ type }) => type === "update" && ++updates === 2);
    const { version } = await serving(data);
    const trainedBefore = (await manifests(data)).flatMap(({ samples }) =>
      samples.map(({ of }) => `${of.episodeId}#${of.stepIndex}`),
    );

    const lines = await demo(
      data,
      "SIGTERM",
      ({ type, arm, session }) => type === "evaluation" && arm === "learner" && session === SESSIONS,
    );
    const ready = lines.find(({ type }) => type === "ready");
    expect(ready?.policyVersion).toBe(version);

    // Every session took place, before or after the kill; no episode was run twice, no step judged twice.
    const log = await openEventLog(join(data, "events"));
    const started: string[] = [];
    const judged = new Set<string>();
    for await (const { event } of log.read(0)) {
      if (event.type === "episode-start") started.push(event.episodeId);
      if (event.type !== "signal" || event.signal.kind !== "reward") continue;
      const key = `${event.of.episodeId}#${event.of.stepIndex}#${event.signal.source}`;
      expect(judged.has(key), `${key} was judged twice`).toBe(false);
      judged.add(key);
    }
    await log.close();
    expect(new Set(started).size).toBe(started.length);
    const sessions = new Set(started.map((episodeId) => episodeId.replace(/\/\d+$/, "")));
    expect(sessions).toEqual(new Set(Array.from({ length: SESSIONS }, (_, i) => `session-${i}`)));

    // No step was trained on twice, and what was trained on before the kill still counts.
    const trained = (await manifests(data)).flatMap(({ samples }) =>
      samples.map(({ of }) => `${of.episodeId}#${of.stepIndex}`),
    );
    expect(new Set(trained).size).toBe(trained.length);
    expect(trained).toEqual(expect.arrayContaining(trainedBefore));
  });
});
