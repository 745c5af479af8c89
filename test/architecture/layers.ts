import { builtinModules } from "node:module";

/** One folder of the repository and what it may import of ours. */
export interface Layer {
  readonly folder: string;
  readonly packageName?: string;
  readonly mayImport: readonly string[];
  /** Paths outside the folder that relative imports may reach. */
  readonly mayReach?: readonly string[];
}

const CORE = "@afterstate/core";
const PACKAGES = [
  CORE,
  "@afterstate/plugins-tools",
  "@afterstate/plugins-memory",
  "@afterstate/plugins-planning",
  "@afterstate/learner",
];

/** The layers, lowest first: the table of AGENTS.md. */
export const LAYERS: readonly Layer[] = [
  { folder: "packages/core", packageName: CORE, mayImport: [] },
  { folder: "packages/plugins-tools", packageName: "@afterstate/plugins-tools", mayImport: [CORE] },
  { folder: "packages/plugins-memory", packageName: "@afterstate/plugins-memory", mayImport: [CORE] },
  { folder: "packages/plugins-planning", packageName: "@afterstate/plugins-planning", mayImport: [CORE] },
  { folder: "packages/learner", packageName: "@afterstate/learner", mayImport: [CORE] },
  { folder: "apps/demo", packageName: "@afterstate/demo", mayImport: PACKAGES },
  { folder: "apps/serve", packageName: "@afterstate/serve", mayImport: PACKAGES, mayReach: ["apps/serve/dist/"] },
  { folder: "test", mayImport: PACKAGES },
  { folder: "bench", mayImport: PACKAGES, mayReach: ["scripts/"] },
  { folder: "examples", mayImport: PACKAGES },
  { folder: "scripts", mayImport: PACKAGES, mayReach: ["apps/demo/dist/"] },
];

/** External packages that have one home. */
export const HOMES: readonly { readonly pattern: RegExp; readonly home: RegExp; readonly sentence: string }[] = [
  {
    pattern: /^(inversify|reflect-metadata|@inversifyjs\/.*)$/,
    home: /^packages\/core\/src\/plugin-host(\.test)?\.ts$/,
    sentence: "inversify belongs to packages/core/src/plugin-host.ts alone",
  },
  {
    pattern: /^(@tensorflow\/|koffi$|webgpu$)/,
    home: /^(packages\/learner\/src\/tensor\/|bench\/)/,
    sentence: "TensorFlow.js and its backends belong to packages/learner/src/tensor/ alone",
  },
  {
    pattern: /^(hono|@hono\/|fastify|express|koa)/,
    home: /^(apps\/|packages\/learner\/src\/gateway\/)/,
    sentence: "a web server belongs to apps/ or to the gateway",
  },
];

/**
 * Packages that are loaded where a user has installed them, and are nobody's dependency: they need a graphics driver, or download
 * libraries when they are installed and fail where that is refused.
 */
export const INSTALLED_BY_USERS: ReadonlySet<string> = new Set([
  "webgpu",
  "@tensorflow/tfjs-backend-webgpu",
  "@tensorflow/tfjs-node",
  "@tensorflow/tfjs-node-gpu",
]);

/** Files that may pass 400 lines, and why. */
export const LONG_FILES: ReadonlyMap<string, string> = new Map([
  ["packages/core/src/agent-loop.ts", "the agent loop reads top to bottom in one piece"],
]);

/** Files that may ask the machine for time or randomness. Everywhere else both are arguments. */
export const IMPURE_FILES: ReadonlyMap<string, string> = new Map([["packages/core/src/clock.ts", "the system clock"]]);

/** Whether a specifier is one of Node's own modules. */
export function isBuiltin(specifier: string): boolean {
  return specifier.startsWith("node:") || builtinModules.includes(specifier);
}
