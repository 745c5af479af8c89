// node test/contract/compare-outcomes.mjs <backend> …: runs outcome-on-backend.mjs on `cpu` and on each named backend, and prints as JSON
// lines how far they are apart; ends with exit code 1 when one is too far.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("./outcome-on-backend.mjs", import.meta.url));

/**
 * How far two numbers may be apart, as a share of the largest number of their list. float32 has 1.2e-7 a rounding, and a gradient
 * passes through some hundred of them.
 */
export const TOLERANCE = 2e-5;

/** What a backend makes of the cases, or why it could not. */
export function outcomeOn(environment) {
  const { stdout, stderr, status, signal } = spawnSync(process.execPath, [PROGRAM], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
    env: { ...process.env, ...environment },
  });
  const line = stdout.split("\n").findLast((text) => text.startsWith("{"));
  if (status === 0 && line !== undefined) return JSON.parse(line);
  const reason = stderr.split("\n").find((text) => /Error/.test(text)) ?? stderr.trim().split("\n").at(-1);
  return { failure: `${reason} (exit code ${status ?? signal})` };
}

/** Each list of numbers with its largest difference, as a share of its largest number. */
export function compareOutcomes(reference, { outcome }) {
  return Object.entries(reference.outcome).map(([name, expected]) => {
    const found = outcome[name] ?? [];
    const largest = Math.max(1e-6, ...expected.map(Math.abs));
    const differences = expected.map((value, i) => Math.abs((found[i] ?? Number.NaN) - value) / largest);
    const difference =
      found.length === expected.length ? differences.reduce((a, b) => (a >= b ? a : b), 0) : Number.NaN;
    return { name, difference, alike: difference <= TOLERANCE };
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const reference = outcomeOn({ AFTERSTATE_BACKEND: "cpu" });
  for (const name of process.argv.slice(2)) {
    const outcome = outcomeOn({ AFTERSTATE_BACKEND: name });
    const compared = outcome.failure === undefined ? compareOutcomes(reference, outcome) : [];
    const apart = compared.filter(({ alike }) => !alike);
    const largest = compared.reduce((most, { difference }) => Math.max(most, difference), 0);
    const facts = { compared: compared.length, largestDifference: largest, tolerance: TOLERANCE, apart };
    console.log(
      JSON.stringify({ backend: outcome.backend ?? name, ...(outcome.failure ? { failure: outcome.failure } : facts) }),
    );
    if (outcome.failure !== undefined || apart.length > 0) process.exitCode = 1;
  }
}
