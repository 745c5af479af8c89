import { posix } from "node:path";
import { importCycles } from "./import-cycles.js";
import { importsOf } from "./imports-of.js";
import { HOMES, IMPURE_FILES, INSTALLED_BY_USERS, isBuiltin, LAYERS, type Layer, LONG_FILES } from "./layers.js";
import type { SourceTree } from "./source-tree.js";

const MAX_LINES = 400;
const VAGUE = /(^|-)(utils?|helpers?|common|managers?|misc|impl)(-|\.|$)/;
const KEBAB = /^[a-z0-9]+(-[a-z0-9]+)*(\.(test|test-d|config))?\.(ts|mjs)$/;

const isTest = (path: string) => path.endsWith(".test.ts");
const isPackaged = (path: string) => /^(packages|apps)\//.test(path);

/** What the whole repository breaks of the house rules, one sentence each; empty when it keeps them. */
export function violations(tree: SourceTree): readonly string[] {
  const files = [...tree.keys()].filter((path) => !path.endsWith("package.json")).sort();
  return [...files.flatMap((path) => fileViolations(path, tree)), ...cycleViolations(files, tree)];
}

function fileViolations(path: string, tree: SourceTree): readonly string[] {
  const layer = LAYERS.find(({ folder }) => path.startsWith(`${folder}/`));
  if (layer === undefined) return [`${path}: lies in no known layer`];
  const source = tree.get(path)!;
  return [
    ...nameViolations(path),
    ...textViolations(path, source),
    ...importsOf(source).flatMap((specifier) => importViolation(path, specifier, layer, tree) ?? []),
  ];
}

function nameViolations(path: string): readonly string[] {
  const found = path.split("/").filter((part) => VAGUE.test(part));
  const name = posix.basename(path);
  return [
    ...found.map((part) => `${path}: "${part}" says nothing about what it holds`),
    ...(KEBAB.test(name) ? [] : [`${path}: file names are kebab-case`]),
  ];
}

function textViolations(path: string, source: string): readonly string[] {
  const found: string[] = [];
  const lines = source.split("\n").length - 1;
  if (lines > MAX_LINES && !isTest(path) && !LONG_FILES.has(path)) {
    found.push(`${path}: has ${lines} lines, more than ${MAX_LINES}; what is it really two of?`);
  }
  if (!isPackaged(path)) return found;
  if (/^export default\b|\bas default\b/m.test(source)) found.push(`${path}: has a default export`);
  const code = source.replace(/^\s*(\/\/|\*|\/\*).*$/gm, "");
  if (/\bMath\.random\(|\bDate\.now\(|\bnew Date\(\)/.test(code) && !IMPURE_FILES.has(path)) {
    found.push(`${path}: asks the machine for time or randomness; both are arguments`);
  }
  return found;
}

function importViolation(path: string, specifier: string, layer: Layer, tree: SourceTree): string | undefined {
  if (specifier.startsWith(".")) {
    const target = posix.join(posix.dirname(path), specifier);
    if (layer.mayReach?.some((reach) => target.startsWith(reach))) return undefined;
    if (!target.startsWith(`${layer.folder}/`)) return `${path}: "${specifier}" reaches out of ${layer.folder}`;
    const part = `${layer.folder}/${path.slice(layer.folder.length + 1).split("/")[0]}`;
    return isPackaged(path) && !target.startsWith(`${part}/`)
      ? `${path}: "${specifier}" reaches out of ${part}`
      : undefined;
  }
  if (isBuiltin(specifier)) return undefined;
  const name = specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
  if (name.startsWith("@afterstate/")) return ownImportViolation(path, specifier, name, layer, tree);
  const home = HOMES.find(({ pattern }) => pattern.test(specifier) || pattern.test(name));
  if (home !== undefined && !home.home.test(path)) return `${path}: imports "${specifier}"; ${home.sentence}`;
  return INSTALLED_BY_USERS.has(name) || dependenciesOf(path, layer, tree).has(name)
    ? undefined
    : `${path}: imports "${specifier}", which its package.json does not list`;
}

function ownImportViolation(
  path: string,
  specifier: string,
  name: string,
  layer: Layer,
  tree: SourceTree,
): string | undefined {
  if (!layer.mayImport.includes(name)) return `${path}: ${layer.folder} may not import ${name}`;
  const folder = LAYERS.find(({ packageName }) => packageName === name)!.folder;
  const manifest = JSON.parse(tree.get(`${folder}/package.json`) ?? "{}") as { exports?: Record<string, unknown> };
  const entry = `.${specifier.slice(name.length)}`;
  if (manifest.exports?.[entry] === undefined) return `${path}: "${specifier}" is no public entry point`;
  const shipped = isPackaged(path) && !isTest(path);
  return shipped && !dependenciesOf(path, layer, tree).has(name)
    ? `${path}: imports "${specifier}", which its package.json does not list`
    : undefined;
}

/** What a file may import from outside: its package's dependencies; a test or a bench also the root's. */
function dependenciesOf(path: string, layer: Layer, tree: SourceTree): ReadonlySet<string> {
  const read = (manifestPath: string) =>
    JSON.parse(tree.get(manifestPath) ?? "{}") as Record<string, Record<string, string> | undefined>;
  const own = read(`${layer.folder}/package.json`);
  const names = Object.keys({ ...own.dependencies, ...own.optionalDependencies, ...own.peerDependencies });
  const sharedByTests =
    isTest(path) || !isPackaged(path) ? Object.keys(read("package.json").devDependencies ?? {}) : [];
  const sharedByBench = path.startsWith("bench/") ? benchDependencies(tree) : [];
  return new Set([...names, ...sharedByTests, ...sharedByBench]);
}

/** A bench compares with what a package is built on, so it may import the dependencies of all packages. */
function benchDependencies(tree: SourceTree): readonly string[] {
  return LAYERS.flatMap(({ folder }) => {
    const manifest = JSON.parse(tree.get(`${folder}/package.json`) ?? "{}") as { dependencies?: object };
    return Object.keys(manifest.dependencies ?? {});
  });
}

function cycleViolations(files: readonly string[], tree: SourceTree): readonly string[] {
  const graph = new Map<string, readonly string[]>();
  for (const path of files) {
    const targets = importsOf(tree.get(path)!)
      .filter((specifier) => specifier.startsWith("."))
      .map((specifier) => posix.join(posix.dirname(path), specifier).replace(/\.js$/, ".ts"));
    graph.set(
      path,
      targets.filter((target) => tree.has(target)),
    );
  }
  return importCycles(graph).map((cycle) => `${cycle[0]}: import cycle ${cycle.join(" → ")}`);
}
