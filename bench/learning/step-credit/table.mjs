// Prints bench/results/learning-step-credit.jsonl as the tables of docs/step-credit.md: the last recipe that was run, or the one named.
import { readFileSync } from "node:fs";
import { mean, pairedPermutation } from "../../statistics.mjs";

/** Who hears the same: a credit that knows places, and the broadcast beside it. */
const PAIRS = [
  ["gigpo", "broadcast"],
  ["step", "broadcast"],
  ...["step", "gigpo-judged", "hiper", "step+broadcast", "step+gigpo"].map((one) => [one, "broadcast-judged"]),
];

const rows = readFileSync(new URL("../../results/learning-step-credit.jsonl", import.meta.url), "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));
const { recipe = rows.at(-1).recipe } = { recipe: process.argv[2] };
const runs = rows.filter((row) => row.recipe === recipe);
const methods = [...new Set(runs.map(({ method }) => method))].sort((a, b) => a.localeCompare(b));
/** Updates of a run that never got there. */
const BUDGET = Math.max(...runs.map(({ updates }) => updates));
/** One result a seed, the latest. */
const runsOf = (wanted) => {
  const found = runs.filter((run) => Object.entries(wanted).every(([name, value]) => run[name] === value));
  return [...new Map(found.map((run) => [run.seed, run])).values()].sort((a, b) => a.seed - b.seed);
};

/**
 * Of updates until the mark held; a run that never did is later than all. The interval holds the median with at least 95 %, by order. Where
 * not all got there: how many did, and the mean success of all in the end.
 */
function cell(found) {
  if (found.length === 0) return "";
  const sorted = found.map(({ reached }) => reached ?? Number.POSITIVE_INFINITY).sort((a, b) => a - b);
  const n = sorted.length;
  const of = (x) => (x === Number.POSITIVE_INFINITY ? "never" : `${x}`);
  // P(fewer than k of n below the median), two-sided.
  let [k, tail, term] = [0, 0, 0.5 ** n];
  while (k < n / 2 && 2 * (tail + term) <= 0.05) {
    tail += term;
    term *= (n - k) / (k + 1);
    k++;
  }
  const [low, high] = k === 0 ? [sorted[0], sorted[n - 1]] : [sorted[k - 1], sorted[n - k]];
  const middle = n % 2 === 1 ? sorted[(n - 1) / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
  const there = sorted.filter(Number.isFinite).length;
  const updates = there === 0 ? "never" : `${of(middle)} [${of(low)}, ${of(high)}]`;
  const success = mean(found.map(({ final }) => final));
  return there === n ? updates : `${updates} ${there}/${n}, ${success.toFixed(2).replace("0.", ".")}`;
}

const settings = [...new Set(runs.map(({ length }) => length))].flatMap((length) =>
  ["knows", "rare"].flatMap((start) => [0, 0.2].map((noise) => ({ length, start, noise, control: undefined }))),
);
const label = ({ length, start, noise }) => `| ${length} | ${start} | ${noise * 100} % |`;
const print = (line = "") => process.stdout.write(`${line}\n`);

print(`| calls | start | flipped | ${methods.join(" | ")} |`);
print(`|---|---|---|${methods.map(() => "---|").join("")}`);
for (const setting of settings)
  print(`${label(setting)} ${methods.map((method) => cell(runsOf({ ...setting, method }))).join(" | ")} |`);

print();
print("| calls | start | flipped | credit | control | updates to 90 % |");
print("|---|---|---|---|---|---|");
const controls = runs.filter(({ control }) => control !== undefined);
for (const key of new Set(controls.map((run) => JSON.stringify([run.start, run.noise, run.method, run.control])))) {
  const [start, noise, method, control] = JSON.parse(key);
  const setting = { length: 4, start, noise, method, control };
  print(`${label(setting)} ${method} | ${control} | ${cell(runsOf(setting))} |`);
}

/** Paired differences of a measure with p of the exact permutation test, two-sided. */
function differences(measure, digits) {
  print();
  print(`| calls | start | flipped | ${PAIRS.map(([one, other]) => `${one} − ${other}`).join(" | ")} |`);
  print(`|---|---|---|${PAIRS.map(() => "---|").join("")}`);
  for (const setting of settings) {
    const cells = PAIRS.map(([one, other]) => {
      const [a, b] = [one, other].map((method) => runsOf({ ...setting, method }));
      const pairs = a.flatMap((x) => b.filter(({ seed }) => seed === x.seed).map((y) => [x, y]));
      if (pairs.length === 0) return "";
      const [of, others] = [0, 1].map((side) => pairs.map((pair) => measure(pair[side])));
      const difference = mean(of) - mean(others);
      const p = difference < 0 ? pairedPermutation(of, others) : pairedPermutation(others, of);
      const shown = Math.abs(difference).toFixed(digits).replace("0.", ".");
      return `${difference < 0 ? "−" : "+"}${shown} (${Math.min(1, 2 * p)
        .toFixed(3)
        .replace("0.", ".")})`;
    });
    print(`${label(setting)} ${cells.join(" | ")} |`);
  }
}

/** Updates until the mark; what never got there counts as the budget, which favours the slower. */
differences(({ reached }) => reached ?? BUDGET, 1);
/** Mean success over the updates of the budget; a run that has ended stays where it was. */
differences(({ curve }) => {
  const updates = Array.from({ length: BUDGET + 1 }, (_, update) => update);
  return mean(updates.map((update) => curve.findLast(([at]) => at <= update)[1]));
}, 2);
const { date, commit } = runs.at(-1);
print(`\n${runs.length} runs of recipe ${recipe}, commit ${commit}, ${date.slice(0, 10)}.`);
