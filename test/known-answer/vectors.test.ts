import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, describe, expect, it } from "vitest";

interface Vectors {
  batches: Record<string, Record<string, unknown>>;
  units: { id: string }[];
  cases: { id: string; algorithm: string; params: Record<string, unknown>; expected: Record<string, unknown> }[];
}
interface Compare {
  poisoned(batch: object, poison: number): Record<string, unknown>;
}

const root = fileURLToPath(new URL("../..", import.meta.url));
const PROGRAM = join(root, "scripts", "vectors.mjs");
const FILE = join(root, "packages", "learner", "src", "objectives", "data", "objectives.json");
const folder = mkdtempSync(join(tmpdir(), "afterstate-vectors-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const vectors = JSON.parse(readFileSync(FILE, "utf8")) as Vectors;

function run(...args: readonly string[]) {
  const { stdout, stderr, status } = spawnSync(process.execPath, [PROGRAM, ...args], { encoding: "utf8" });
  return { lines: stdout.trimEnd().split("\n"), stderr, status };
}

/** Runs a file with some cases of the known one, changed. */
function runChanged(ids: readonly string[], change: (file: Vectors) => void) {
  const file = structuredClone(vectors);
  file.cases = file.cases.filter(({ id }) => ids.includes(id));
  file.units = [];
  change(file);
  const path = join(folder, "changed.json");
  writeFileSync(path, JSON.stringify(file));
  return run(path);
}

describe("the known answers", () => {
  const { lines, status } = run(FILE);
  const lineOf = (kind: string, id: string) =>
    lines.find((line) => line.split(/\s+/).slice(1, 3).join(" ") === `${kind} ${id}`);

  it.each(vectors.cases.map(({ id }) => id))("of case %s are computed, in float64 and on the tensor backend", (id) => {
    expect(lineOf("case", id)).toMatch(/^ok {4}.*float64 \d.*tensor \d/);
  });

  it.each(vectors.units.map(({ id }) => id))("of unit %s are computed", (id) => {
    expect(lineOf("unit", id)).toMatch(/^ok {4}/);
  });

  it("are counted, and the exit code is 0", () => {
    expect(lines.at(-1)).toBe("58 cases, 10 units: 68 ok, 0 FAIL");
    expect(status).toBe(0);
  });
});

describe("a file of vectors", () => {
  it("with one wrong number fails in that case alone, and names the number", () => {
    const { lines, status } = runChanged(["grpo/verl", "grpo/paper"], ({ cases }) => {
      const { expected } = cases.find(({ id }) => id === "grpo/verl")!;
      (expected.grad as number[][])[1]![0]! += 1e-6;
    });
    expect(lines.filter((line) => line.startsWith("FAIL"))).toHaveLength(1);
    expect(lines.find((line) => line.startsWith("FAIL"))).toContain("grad.1.0 differs in float64");
    expect(lines.at(-1)).toBe("2 cases, 0 units: 1 ok, 1 FAIL");
    expect(status).toBe(1);
  });

  it("fails in a number that is missing from what is computed", () => {
    const { lines, status } = runChanged(["sapo/default"], ({ cases }) => {
      cases[0]!.expected.surprise = 1;
    });
    expect(lines.join()).toContain("surprise differs");
    expect(status).toBe(1);
  });

  it("fails in a case whose algorithm it does not know, and goes on", () => {
    const { lines, status } = runChanged(["sapo/default", "grpo/verl"], ({ cases }) => {
      cases[0]!.algorithm = "wishful";
    });
    expect(lines.join()).toMatch(/FAIL.*its algorithm "wishful" is not known; known are reinforce, /);
    expect(lines.at(-1)).toBe("2 cases, 0 units: 1 ok, 1 FAIL");
    expect(status).toBe(1);
  });

  it("that is none is refused in one sentence", () => {
    const sentence = (text: string) => {
      const path = join(folder, "none.json");
      writeFileSync(path, text);
      const { stderr, status } = run(path);
      expect(status).toBe(1);
      expect(stderr.trim().split("\n")).toHaveLength(1);
      return stderr;
    };
    expect(sentence("{")).toContain("is not JSON");
    expect(sentence("[]")).toContain('needs an object "batches" and a list "cases"');
    expect(sentence('{"batches":{},"cases":[{"id":"x"}]}')).toContain('case 1 (x) has no "expected"');
    expect(
      sentence('{"batches":{},"cases":[{"id":"x","algorithm":"ppo","params":{},"expected":{},"batch":"main"}]}'),
    ).toContain('of batch "main", which the file does not hold');
    expect(run("/nowhere.json").stderr).toContain("/nowhere.json cannot be read");
    expect(run().stderr).toContain("name a file of vectors");
  });
});

it("poison stands at every masked token of every array, and nowhere else", async () => {
  const { poisoned } = (await import(
    pathToFileURL(join(root, "scripts", "vectors", "compare.mjs")).href
  )) as unknown as Compare;
  const batch = { mask: [[1, 0], [0]], new_logp: [[-1, -2], [-3]], reward: [1, 2], turn: [[0, -1], [-1]] };
  expect(poisoned(batch, 7)).toEqual({ ...batch, new_logp: [[-1, 7], [7]] });
  const pairs = { chosen_mask: [[0, 1]], chosen_new: [[-1, -2]], rejected_mask: [[1]], rejected_new: [[-3]] };
  expect(poisoned(pairs, 7)).toEqual({ ...pairs, chosen_new: [[7, -2]] });
  expect(
    poisoned(
      {
        mask: [1, 0],
        student: [
          [1, 2],
          [3, 4],
        ],
      },
      7,
    ),
  ).toMatchObject({
    student: [
      [1, 2],
      [7, 7],
    ],
  });
});
