import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

interface Thread {
  readonly id: string;
  readonly nice: number;
  readonly policy: number;
  readonly isMain: boolean;
}
const PROGRAM = fileURLToPath(new URL("threads-of-worker-trainer.mjs", import.meta.url));
const SCHED_IDLE = 5;

describe("a trainer on a thread of its own", () => {
  it.skipIf(process.platform !== "linux")("stands behind the threads that serve", { timeout: 60_000 }, () => {
    const { before, after } = JSON.parse(execFileSync(process.execPath, [PROGRAM], { encoding: "utf8" })) as Record<
      "before" | "after",
      readonly Thread[]
    >;
    const stands = ({ policy, nice }: Thread) => policy === SCHED_IDLE || nice > 0;
    expect(before.filter(stands)).toEqual([]);
    expect(after.filter(stands).length).toBeGreaterThan(0);
    // What was there before serves, and is as it was.
    expect(after.filter(({ id }) => before.some((thread) => thread.id === id)).filter(stands)).toEqual([]);
    expect(after.filter(({ isMain }) => isMain)).toHaveLength(1);
  });
});
