import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Source files by path from the repository's root, with forward slashes. */
export type SourceTree = ReadonlyMap<string, string>;

const FOLDERS = ["packages", "apps", "test", "bench", "examples", "scripts"];
const LEFT_OUT = new Set(["node_modules", "dist", "data", "policy", ".turbo", "results"]);

/** Reads every .ts and .mjs file, and every package.json, below the repository's root. */
export function readSourceTree(root: string): SourceTree {
  const tree = new Map<string, string>();
  const walk = (folder: string) => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) {
        if (!LEFT_OUT.has(entry.name)) walk(path);
      } else if (/\.(ts|mjs)$/.test(entry.name) || entry.name === "package.json") {
        tree.set(path, readFileSync(join(root, path), "utf8"));
      }
    }
  };
  for (const folder of FOLDERS) walk(folder);
  tree.set("package.json", readFileSync(join(root, "package.json"), "utf8"));
  return tree;
}
