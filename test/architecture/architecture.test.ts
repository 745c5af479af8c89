import { existsSync } from "node:fs";
import { join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { importsOf } from "./imports-of.js";
import { LONG_FILES } from "./layers.js";
import { readSourceTree } from "./source-tree.js";
import { violations } from "./violations.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const tree = readSourceTree(root);

it("keeps import directions, entry points, names and sizes", () => {
  expect(violations(tree)).toEqual([]);
});

it("reads every package", () => {
  for (const name of ["core", "plugins-tools", "plugins-memory", "plugins-planning", "learner"]) {
    expect([...tree.keys()].filter((path) => path.startsWith(`packages/${name}/src/`)).length).toBeGreaterThan(0);
  }
});

it("excuses no file that does not need it", () => {
  for (const path of LONG_FILES.keys()) {
    expect(existsSync(join(root, path)), `${path} is excused but does not exist`).toBe(true);
    expect(tree.get(path)!.split("\n").length, `${path} is excused but short`).toBeGreaterThan(400);
  }
});

it("runs the engine without TensorFlow.js", () => {
  const TYPES = /^import type [^;]*;$/gm;
  const reached = new Set([...tree.keys()].filter((path) => /^packages\/learner\/src\/engine\/[^.]*\.ts$/.test(path)));
  expect(reached.size).toBeGreaterThan(10);
  for (const path of reached) {
    for (const specifier of importsOf(tree.get(path)!.replace(TYPES, ""))) {
      expect(specifier, path).not.toMatch(/^@tensorflow/);
      const target = posix.join(posix.dirname(path), specifier).replace(/\.js$/, ".ts");
      if (specifier.startsWith(".")) reached.add(target);
    }
  }
});
