import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const FOLDERS = /^(packages|apps|docs|test|bench|examples|scripts)\//;

/** Paths of the repository that a document names in backticks or links. A star stands for anything. */
function pathsIn(text: string): readonly string[] {
  const quoted = [...text.matchAll(/`([^`\s]+)`/g), ...text.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1]!);
  return quoted.filter((path) => FOLDERS.test(path) && !path.includes("*"));
}

describe.each(["README.md", "AGENTS.md", "docs/papers.md", "docs/gateway.md"])("%s", (name) => {
  const text = readFileSync(join(root, name), "utf8");

  it("names only files and folders that exist", () => {
    expect(pathsIn(text).filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });

  it("names only npm scripts that exist", () => {
    const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: object };
    const named = [...text.matchAll(/npm run ([\w:-]+)/g)].map((match) => match[1]!);
    expect(named.filter((script) => !(script in scripts))).toEqual([]);
  });
});
