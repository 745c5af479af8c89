import type { Verifier } from "../types.js";

/** What a run of tests came to. */
export interface TestReport {
  readonly passed: number;
  readonly failed: number;
}

/** A runner's way of summing up, line by line. */
interface Summary {
  /** The counts of a line of it, undefined for any other line. */
  readonly read: (line: string) => TestReport | undefined;
  /** Whether lines add up (one a package, or one a count) or the last one counts. */
  readonly adds: boolean;
}

/** Characters at the end of a tool's output in which its summary is looked for. */
const TAIL = 20_000;
const NONE: TestReport = { passed: 0, failed: 0 };

const SUMMARIES: readonly Summary[] = [
  // vitest "Tests  2 failed | 10 passed (12)", jest "Tests:       1 failed, 4 passed, 5 total"
  { adds: false, read: (line) => (/^\s*Tests:?\s+\d+ \w+/.test(line) ? countsIn(line) : undefined) },
  // pytest "=== 1 failed, 7 passed in 0.31s ===", with -q without the rule
  {
    adds: false,
    read: (line) => (/^(?:=+ )?\d+ \w+(?:, \d+ \w+)* in [\d.]+s\b/.test(line) ? countsIn(line) : undefined),
  },
  // cargo "test result: FAILED. 5 passed; 1 failed; 0 ignored; 0 measured"
  { adds: true, read: (line) => (/^\s*test result: (?:ok|FAILED)\./.test(line) ? countsIn(line) : undefined) },
  // node:test "# pass 3", "ℹ fail 1"
  { adds: true, read: (line) => oneCount(/^\s*[#ℹ] (pass|fail) (\d+)\s*$/u.exec(line), 1) },
  // mocha "  3 passing (4ms)", "  1 failing"
  { adds: true, read: (line) => oneCount(/^\s*(\d+) (pass|fail)ing\b/.exec(line), 2) },
];

/**
 * Reads how many tests passed off a test run's output: vitest, jest, pytest, cargo, node:test, mocha and go. What is summed up last
 * counts. Undefined when there is no summary, or no test ran.
 */
export function readTestReport(output: string): TestReport | undefined {
  const lines = output
    .slice(-TAIL)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours of a terminal begin with one
    .replace(/\u001b\[[\d;]*m/g, "")
    .split(/\r?\n/);
  const totals = SUMMARIES.map(() => NONE);
  let last = -1;
  for (const line of lines) {
    for (const [index, { read, adds }] of SUMMARIES.entries()) {
      const report = read(line);
      if (report === undefined) continue;
      const before = adds ? totals[index]! : NONE;
      totals[index] = { passed: before.passed + report.passed, failed: before.failed + report.failed };
      last = index;
    }
  }
  const report = last < 0 ? readGo(lines) : totals[last]!;
  return report.passed + report.failed > 0 ? report : undefined;
}

/**
 * Checks the test runs among a step's tool results: −1 where a test failed, +1 where all passed; of parallel runs one failure decides. It says
 * nothing of results without tests, which merely worked.
 *
 * @param tools names of the tools that run tests. Others are not read: a fetched page can show any summary. A policy that may write
 * its own commands can print one, too; give it a tool that runs the tests and nothing else.
 */
export function testReport({ tools }: { readonly tools: readonly string[] }): Verifier {
  return {
    name: "tests",
    verify({ nextState }) {
      if (nextState.kind !== "tool") return undefined;
      const runs = nextState.results.filter(({ toolName }) => tools.includes(toolName));
      const reports = runs.map(({ content }) => readTestReport(content)).filter((report) => report !== undefined);
      if (reports.length === 0) return undefined;
      return reports.some(({ failed }) => failed > 0) ? -1 : 1;
    },
  };
}

/** "--- FAIL: TestAdd", "FAIL example.com/add 0.004s", "ok example.com/add 0.003s": tests where they are named, packages otherwise. */
function readGo(lines: readonly string[]): TestReport {
  const count = (pattern: RegExp) => lines.filter((line) => pattern.test(line)).length;
  const packages = { passed: count(/^ok\s+\S+\s+(?:[\d.]+s|\(cached\))/), failed: count(/^FAIL\s+\S+\s/) };
  if (packages.passed + packages.failed === 0) return NONE;
  return {
    passed: Math.max(count(/^\s*--- PASS: /), packages.passed),
    failed: Math.max(count(/^\s*--- FAIL: /), packages.failed),
  };
}

/** "2 failed | 10 passed", with errors counted as failures. */
function countsIn(line: string): TestReport {
  const sum = (pattern: RegExp) => [...line.matchAll(pattern)].reduce((total, [, count]) => total + Number(count), 0);
  return { passed: sum(/(\d+) passed\b/g), failed: sum(/(\d+) (?:failed|errors?)\b/g) };
}

function oneCount(found: RegExpExecArray | null, wordAt: 1 | 2): TestReport | undefined {
  if (found === null) return undefined;
  const count = Number(found[3 - wordAt]);
  return found[wordAt] === "pass" ? { passed: count, failed: 0 } : { passed: 0, failed: count };
}
