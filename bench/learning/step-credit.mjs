// Does step credit pay? Updates until 90 % of held-out tool chains of 1, 2, 4 and 8 calls succeed, by credit, starting policy and noise.
// Cells run on two processes. With AFTERSTATE_BENCH_RESUME=1 cells that bench/results/ has of the same programs are left out:
//   AFTERSTATE_BENCH_RESUME=1 npm run bench -- learning/step-credit && node bench/learning/step-credit/table.mjs
// AFTERSTATE_BENCH_LENGTHS=1,2 runs these lengths alone, AFTERSTATE_BENCH_SEEDS=1,2,3 these seeds.
import { fork } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openBackend } from "@afterstate/learner";
import { METHODS, openWorkshop, runCell } from "./step-credit/run-cell.mjs";
import { STARTS, startingWeights } from "./step-credit/starting-policies.mjs";

const LENGTHS = numbersOf(process.env.AFTERSTATE_BENCH_LENGTHS) ?? [1, 2, 4, 8];
const SEEDS = numbersOf(process.env.AFTERSTATE_BENCH_SEEDS) ?? [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
const PROCESSES = 2;

const here = fileURLToPath(new URL(".", import.meta.url));

function numbersOf(list) {
  return list?.split(",").map(Number);
}

/** Seed by seed, so that what has run is a whole, if small, experiment. */
function allCells() {
  const cells = [];
  for (const length of LENGTHS)
    for (const seed of SEEDS) {
      for (const start of Object.keys(STARTS))
        for (const noise of [0, 0.2])
          for (const method of Object.keys(METHODS)) cells.push({ length, start, noise, method, seed });
      if (length === 4)
        for (const method of ["broadcast-judged", "step", "gigpo-judged", "hiper"])
          cells.push({ length, start: "knows", noise: 0, method, seed, control: "shuffled" });
      if (length === 4)
        for (const control of ["signed", "blind"])
          cells.push({ length, start: "rare", noise: 0, method: "step", seed, control });
    }
  return cells;
}

/** What results depend on: the bench's programs, and what they learn with. */
function recipe() {
  const dist = join(here, "../../packages/learner/dist");
  const folders = [join(here, "step-credit"), join(dist, "credit"), join(dist, "environments/tool-chain")];
  const hash = createHash("sha256");
  for (const folder of folders)
    for (const file of readdirSync(folder).sort())
      if (/\.m?js$/.test(file) && file !== "table.mjs") hash.update(readFileSync(join(folder, file)));
  return hash.digest("hex").slice(0, 12);
}

const keyOf = ({ length, start, noise, method, seed, control, recipe }) =>
  [length, start, noise, method, seed, control, recipe].join();

function known() {
  const file = join(here, "../results/learning-step-credit.jsonl");
  if (process.env.AFTERSTATE_BENCH_RESUME !== "1" || !existsSync(file)) return new Set();
  return new Set(
    readFileSync(file, "utf8")
      .trim()
      .split("\n")
      .map((line) => keyOf(JSON.parse(line))),
  );
}

async function work() {
  await openBackend({ threads: 1 });
  const workshop = await openWorkshop();
  const weights = new Map();
  process.on("message", async (cell) => {
    const right = STARTS[cell.start](cell.length);
    if (!weights.has(right)) weights.set(right, await startingWeights(right));
    process.send({ ...(await runCell(workshop, weights.get(right), cell)), right });
  });
  process.send("ready");
}

async function main() {
  const rights = new Set(LENGTHS.flatMap((length) => Object.values(STARTS).map((right) => right(length))));
  for (const right of rights) await startingWeights(right, (line) => process.stderr.write(`${line}\n`));
  const done = known();
  const mine = recipe();
  const cells = allCells()
    .map((cell) => ({ ...cell, recipe: mine }))
    .filter((cell) => !done.has(keyOf(cell)));
  process.stderr.write(`${cells.length} cells to run, ${done.size} known\n`);
  const total = cells.length;
  await Promise.all(
    Array.from({ length: PROCESSES }, () => {
      const worker = fork(fileURLToPath(import.meta.url), ["--worker"]);
      return new Promise((resolve, reject) => {
        const next = () => (cells.length > 0 ? worker.send(cells.shift()) : worker.disconnect());
        worker.on("message", (result) => {
          if (result !== "ready") {
            // Shuffled rewards that reach the mark are a mistake of this bench.
            const withinMark = result.reached === null;
            console.log(JSON.stringify({ ...result, ...(result.control === "shuffled" && { withinMark }) }));
            process.stderr.write(
              `${total - cells.length}/${total} ${result.length} ${result.start} ${result.noise} ${result.method} ${result.control ?? ""} seed ${result.seed}: ${result.reached ?? "never"}, ${result.final.toFixed(2)}, ${result.seconds} s\n`,
            );
          }
          next();
        });
        worker.on("exit", (code) => (code === 0 ? resolve() : reject(new Error(`a worker ended with code ${code}`))));
      });
    }),
  );
}

await (process.argv.includes("--worker") ? work() : main());
