import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const PROGRAM = fileURLToPath(new URL("./resume-on-backend.mjs", import.meta.url));
const FILES = ["model.safetensors", "optimizer.safetensors"];

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "afterstate-resume-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Updates in a process of their own, which begins with what an earlier one has left in the folder. */
function train(
  backend: string,
  name: string,
  kind: string,
  from: number,
  to: number,
): { digest: string; steps: number } {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [PROGRAM, join(folder, name), kind, String(from), String(to)],
    { encoding: "utf8", env: { ...process.env, AFTERSTATE_BACKEND: backend } },
  );
  const line = stdout.split("\n").findLast((text) => text.startsWith("{"));
  if (line === undefined) throw new Error(stderr);
  return JSON.parse(line);
}

describe.each(["wasm", "wasm-tfjs"])(
  "a training on %s that is stopped and gone on with in a new process",
  (backend) => {
    it.each(["full", "lora"])("comes to the same bits as one that was not, training %s", (kind) => {
      const undisturbed = train(backend, "whole", kind, 0, 6);
      const half = train(backend, "halves", kind, 0, 3);
      expect(half.digest).not.toBe(undisturbed.digest);
      expect(train(backend, "halves", kind, 3, 6)).toEqual(undisturbed);
      expect(undisturbed.steps).toBe(12);
      for (const file of FILES) {
        const read = (name: string) => readFileSync(join(folder, name, "v6", file));
        expect(read("halves").equals(read("whole")), file).toBe(true);
      }
    });
  },
);
