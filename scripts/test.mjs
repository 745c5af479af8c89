// `npm test`: installs when needed, builds, checks style and types, runs every test project, and ends with one line of counts.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, checkNode, install, root, runProgram, say } from "./prepare.mjs";
import { prepareWebGpu } from "./webgpu.mjs";

const counts = { passed: 0, failed: 0, skipped: 0 };
const tool = (...path) => join(root, "node_modules", ...path);

/** Ends the run with the line that every caller reads. */
function finish() {
  const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : "";
  process.stdout.write(`${counts.passed} passed, ${counts.failed} failed${skipped}\n`);
  process.exitCode = counts.failed > 0 ? 1 : 0;
}

/** Runs one check that counts as one test. */
async function check(name, run) {
  say(`${name} …`);
  const failure = await run();
  counts[failure === undefined ? "passed" : "failed"] += 1;
  if (failure !== undefined) say(failure);
  return failure === undefined;
}

/** Runs a program whose exit code is the verdict. */
const program = (sentence, path, args) => async () => {
  const code = await runProgram(process.execPath, [path, ...args]);
  return code === 0 ? undefined : `${sentence} (exit code ${code}; the messages are above).`;
};

/** Adds vitest's own counts. A test file that could not be loaded counts as one failure. */
function addCounts(report) {
  counts.passed += report.numPassedTests;
  counts.skipped += report.numPendingTests + report.numTodoTests;
  const unloaded = report.testResults.filter(
    (file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed"),
  );
  counts.failed += report.numFailedTests + unloaded.length;
}

async function runTests(args) {
  const folder = mkdtempSync(join(tmpdir(), "afterstate-test-"));
  const file = join(folder, "report.json");
  try {
    const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${file}`];
    const env = { ...process.env, NO_COLOR: process.stdout.isTTY ? process.env.NO_COLOR : "1" };
    if (env.NO_COLOR === undefined) delete env.NO_COLOR;
    const code = await runProgram(process.execPath, [tool("vitest", "vitest.mjs"), "run", ...reporters, ...args], {
      stdout: 1,
      env,
    });
    const failedBefore = counts.failed;
    addCounts(JSON.parse(readFileSync(file, "utf8")));
    // Errors outside any test (an unhandled rejection, say) show only in the exit code.
    if (code !== 0 && counts.failed === failedBefore) counts.failed += 1;
  } catch (error) {
    counts.failed += 1;
    say(`vitest gave no report: ${error.message}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const unprepared = checkNode() ?? (await install());
if (unprepared !== undefined) {
  say(unprepared);
  counts.failed += 1;
} else if (await check("building", build)) {
  await check(
    "style: biome check",
    program("The style check failed", tool("@biomejs", "biome", "bin", "biome"), ["check", "--error-on-warnings", "."]),
  );
  await check(
    "types of the tests: tsc",
    program("A test has a type error", tool("typescript", "bin", "tsc"), ["-p", "test"]),
  );
  const skipped = await prepareWebGpu();
  if (skipped !== undefined) say(skipped);
  say("tests: vitest …");
  await runTests(process.argv.slice(2));
}
finish();
