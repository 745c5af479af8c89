import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { root, runProgram } from "./run-program.js";

const examples = readdirSync(join(root, "examples")).filter((file) => file.endsWith(".mjs"));

/** What each example must have said, so that one that runs but shows nothing fails. */
const SAYS: Readonly<Record<string, RegExp>> = {
  "01-agent-with-a-tool.mjs": /result 3\nanswer .*3/,
  "02-your-own-tool.mjs": /counted · 3[\s\S]*tool\/blocked/,
  "03-memory.mjs": /memory add The user's name is Tess\./,
  "04-planning.mjs": /Plan: .*8/,
  "05-learn-from-reactions.mjs": /base → v1 serves/,
  "06-feedback-later.mjs": /order-17\/1: Friday\.[\s\S]*feedback/,
  "07-learned-text.mjs": /tuesday ann: 3\n[\s\S]*tuesday ben: The answer is 3\.\n[\s\S]*without ann there are 2 texts/,
};

it("knows what every example says", () => {
  expect(examples).toEqual(Object.keys(SAYS));
});

it.concurrent.each(examples)("examples/%s runs, and fits on a page", { timeout: 120_000 }, async (file) => {
  const path = join("examples", file);
  const { code, stdout, stderr } = await runProgram(path);
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toMatch(SAYS[file]!);
  expect(readFileSync(join(root, path), "utf8").split("\n").length).toBeLessThanOrEqual(61);
});

it("the program in README runs as it stands", { timeout: 60_000 }, async () => {
  const program = /```js\n([\s\S]*?)```/.exec(readFileSync(join(root, "README.md"), "utf8"))![1]!;
  // Beside the packages, so that their names resolve.
  const folder = await mkdtemp(join(root, "node_modules", ".afterstate-readme-"));
  try {
    await writeFile(join(folder, "program.mjs"), program);
    const { code, stdout, stderr } = await runProgram(join(folder, "program.mjs"));
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/result 3\nanswer .*3/);
  } finally {
    await rm(folder, { recursive: true });
  }
});
