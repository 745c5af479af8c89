import { describe, expect, it } from "vitest";
import { importCycles } from "./import-cycles.js";
import { importsOf } from "./imports-of.js";
import { violations } from "./violations.js";

const manifest = (dependencies: readonly string[], exports: readonly string[] = ["."]) =>
  JSON.stringify({
    exports: Object.fromEntries(exports.map((entry) => [entry, "./x.js"])),
    dependencies: Object.fromEntries(dependencies.map((name) => [name, "1"])),
  });

const MANIFESTS: Record<string, string> = {
  "package.json": JSON.stringify({ devDependencies: { vitest: "4" } }),
  "packages/core/package.json": manifest(["inversify", "eventemitter3"], [".", "./testing"]),
  "packages/plugins-tools/package.json": manifest(["@afterstate/core"]),
  "packages/plugins-memory/package.json": manifest(["@afterstate/core"]),
  "packages/learner/package.json": manifest(["@afterstate/core", "@tensorflow/tfjs"]),
  "apps/demo/package.json": manifest(["@afterstate/core", "hono"]),
};

/** What a tree of only these files breaks. */
const broken = (files: Record<string, string>) => violations(new Map(Object.entries({ ...MANIFESTS, ...files })));

describe("the checker accepts", () => {
  it("a tree that keeps the rules", () => {
    expect(
      broken({
        "packages/core/src/plugin-host.ts": 'import { Container } from "inversify";\nimport { a } from "./a.js";',
        "packages/core/src/a.ts": "export const a = 1;",
        "packages/core/src/a.test.ts": 'import { expect } from "vitest";',
        "packages/plugins-tools/src/tool.ts": 'import type { Tool } from "@afterstate/core";',
        "packages/learner/src/tensor/tf.ts": 'import * as tf from "@tensorflow/tfjs";',
        "test/e2e/x.test.ts": 'import { scriptedModel } from "@afterstate/core/testing";',
      }),
    ).toEqual([]);
  });
});

describe("the checker refuses", () => {
  const cases: readonly [string, Record<string, string>, RegExp][] = [
    ["core importing a plugin", { "packages/core/src/a.ts": 'import "@afterstate/plugins-tools";' }, /may not import/],
    [
      "a plugin importing another plugin",
      { "packages/plugins-tools/src/a.ts": 'import { x } from "@afterstate/plugins-memory";' },
      /may not import @afterstate\/plugins-memory/,
    ],
    [
      "a type-only import in the wrong direction",
      { "packages/core/src/a.ts": 'import type {\n  X,\n  Y,\n} from "@afterstate/learner";' },
      /may not import @afterstate\/learner/,
    ],
    [
      "a dynamic import in the wrong direction",
      { "packages/core/src/a.ts": 'const x = await import("@afterstate/learner");' },
      /may not import/,
    ],
    ["inversify elsewhere", { "packages/core/src/a.ts": 'import { Container } from "inversify";' }, /plugin-host/],
    ["TensorFlow.js elsewhere", { "packages/learner/src/a.ts": 'import "@tensorflow/tfjs";' }, /tensor\//],
    ["a web server in core", { "packages/core/src/a.ts": 'export { Hono } from "hono";' }, /web server/],
    ["a package that is not declared", { "packages/core/src/a.ts": 'import x from "lodash";' }, /does not list/],
    ["a dev dependency in shipped code", { "packages/core/src/a.ts": 'import "vitest";' }, /does not list/],
    ["a deep import", { "test/a.test.ts": 'import "@afterstate/core/dist/agent.js";' }, /no public entry point/],
    ["a test reaching into src", { "test/a.test.ts": 'import "../packages/core/src/a.js";' }, /reaches out of test/],
    ["a source reaching out of src", { "packages/core/src/a.ts": 'import "../package.json";' }, /reaches out/],
    [
      "a cycle within a package",
      { "packages/core/src/a.ts": 'import "./b.js";', "packages/core/src/b.ts": 'export * from "./a.js";' },
      /import cycle .*a\.ts → .*b\.ts → .*a\.ts/,
    ],
    ["a vague name", { "packages/core/src/string-utils.ts": "" }, /says nothing/],
    ["a vague folder", { "packages/core/src/common/x.ts": "" }, /says nothing/],
    ["a name that is not kebab-case", { "packages/core/src/EventBus.ts": "" }, /kebab-case/],
    ["a default export", { "packages/core/src/a.ts": "export default 1;" }, /default export/],
    ["a long file", { "packages/core/src/a.ts": "\n".repeat(401) }, /401 lines/],
    ["hidden time", { "packages/core/src/a.ts": "const t = Date.now();" }, /time or randomness/],
    ["hidden randomness", { "apps/demo/src/a.ts": "const r = Math.random();" }, /time or randomness/],
  ];
  it.each(cases)("%s", (_name, files, sentence) => {
    const found = broken(files);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(sentence);
  });
});

describe("importsOf", () => {
  it("finds static, multi-line, re-exporting, side-effect and dynamic imports, and no comments", () => {
    const source = [
      'import a from "a";',
      "import {",
      "  b,",
      '} from "b";',
      'export * from "./c.js";',
      'import "d";',
      ["const e = await import", '("e");'].join(""),
      '// import f from "f";',
      ' * import g from "g";',
      'const text = "import";',
    ].join("\n");
    expect([...importsOf(source)].sort()).toEqual(["./c.js", "a", "b", "d", "e"]);
  });
});

describe("importCycles", () => {
  it("finds the cycle and not the paths that lead to it", () => {
    const graph = new Map([
      ["a", ["b"]],
      ["b", ["c"]],
      ["c", ["b"]],
    ]);
    expect(importCycles(graph)).toEqual([["b", "c", "b"]]);
  });
});
