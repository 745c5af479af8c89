import { expect, it } from "vitest";
import { runProgram } from "./run-program.js";

it("loses no step, trains on none twice and makes every update again, however often it is killed", {
  timeout: 240_000,
}, async () => {
  const { code, stdout, stderr } = await runProgram("bench/robustness/kill.mjs", ["6", "4"]);
  expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
  const result = JSON.parse(stdout) as Readonly<Record<string, unknown>>;
  expect(result).toMatchObject({ kills: 6, problems: 0, firstProblems: [], withinMark: true });
  expect(result.acknowledged).toBeGreaterThan(6);
  expect(result.updates).toBeGreaterThan(0);
});
