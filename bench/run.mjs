// `npm run bench`: lists and runs the benches. A bench is a program bench/<kind>/<name>.mjs that prints one JSON object a line;
// each is printed on, and kept in bench/results/ with date, commit and machine. `withinMark: false` in one fails the run.
import { execFileSync, spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { build, checkNode, install, say } from "../scripts/prepare.mjs";

const USAGE = `npm run bench -- [--list] [--no-results] [bench …]
Runs every bench, or the ones named; --no-results prints without keeping.
`;
const OPTIONS = ["--list", "--no-results", "--help"];

const here = fileURLToPath(new URL(".", import.meta.url));
const filesOf = (kind) => (existsSync(join(here, kind)) ? readdirSync(join(here, kind)) : []);
const BENCHES = ["speed", "learning", "models", "robustness", "serving"]
  .flatMap((kind) => filesOf(kind).map((file) => `${kind}/${file}`))
  .filter((path) => path.endsWith(".mjs"))
  .map((path) => path.slice(0, -".mjs".length));

const args = process.argv.slice(2);
const asked = args.filter((arg) => !arg.startsWith("--"));
const unknown = args.find((arg) => !(arg.startsWith("--") ? OPTIONS : BENCHES).includes(arg));
if (unknown !== undefined) {
  process.stderr.write(`there is no bench or option "${unknown}"; benches are ${BENCHES.join(", ")}\n`);
  process.exit(2);
}
if (args.includes("--help")) {
  process.stdout.write(USAGE);
  process.exit(0);
}
if (args.includes("--list")) {
  for (const bench of BENCHES) process.stdout.write(`${bench.padEnd(18)} ${purposeOf(bench)}\n`);
  process.exit(0);
}
const failure = checkNode() ?? (await install()) ?? (await build());
if (failure !== undefined) {
  say(failure);
  process.exit(1);
}

/** The first sentence of a bench's first comment. */
function purposeOf(bench) {
  const comment = readFileSync(join(here, `${bench}.mjs`), "utf8")
    .split("\n", 1)[0]
    .replace(/^\/\/ /, "");
  return comment.split(/[.,:]( |$)/)[0];
}

/** Where and when a result was measured. */
function circumstances() {
  const git = (...words) => execFileSync("git", words, { cwd: here, encoding: "utf8" }).trim();
  let commit = "unknown";
  try {
    commit = git("rev-parse", "--short", "HEAD") + (git("status", "--porcelain", "--", "..") === "" ? "" : "+changes");
  } catch {
    // No git, or no repository: the results say so.
  }
  const [{ model: cpu } = {}, ...others] = cpus();
  return { commit, node: process.versions.node, cpu, cores: others.length + 1 };
}

/** Libraries choose their kernels for the processor that is there, whatever is pinned in this environment: ours and those of peers alike. */
const { OPENBLAS_CORETYPE, OPENBLAS_L2_SIZE, ...ENV } = process.env;

/** Runs one bench. @returns whether it ended well and kept its marks. */
async function runBench(bench) {
  const child = spawn(process.execPath, [join(here, `${bench}.mjs`)], {
    env: ENV,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => child.on("close", resolve));
  let good = true;
  for await (const text of createInterface({ input: child.stdout })) {
    if (!text.startsWith("{")) {
      say(text);
      continue;
    }
    const result = JSON.parse(text);
    good &&= result.withinMark !== false;
    const line = `${JSON.stringify({ bench, ...result, date: new Date().toISOString(), ...where })}\n`;
    process.stdout.write(line);
    if (args.includes("--no-results")) continue;
    mkdirSync(join(here, "results"), { recursive: true });
    appendFileSync(join(here, "results", `${bench.replaceAll("/", "-")}.jsonl`), line);
  }
  return (await ended) === 0 && good;
}

/** Taken before the results themselves are a change. */
const where = circumstances();
let failed = 0;
for (const bench of asked.length > 0 ? asked : BENCHES) {
  say(`${bench}: ${purposeOf(bench)} …`);
  if (!(await runBench(bench))) {
    failed += 1;
    say(`${bench} failed or missed a mark`);
  }
}
process.exitCode = failed > 0 ? 1 : 0;
