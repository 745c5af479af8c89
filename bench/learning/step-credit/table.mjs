// Prints bench/results/learning-step-credit.jsonl as the table of docs/step-credit.md: the last recipe that was run, or those named.
import { readFileSync } from "node:fs";

const FILE = new URL("../../results/learning-step-credit.jsonl", import.meta.url);
const rows = readFileSync(FILE, "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));
const recipes = process.argv.length > 2 ? process.argv.slice(2) : [rows.at(-1).recipe];
const cells = new Map();
for (const row of rows.filter((row) => recipes.includes(row.recipe))) {
  const { length, start, noise, control = "", method, seed } = row;
  const key = [length, start, noise, control, method].join("|");
  cells.set(key, (cells.get(key) ?? new Map()).set(seed, row));
}

/** Of updates until the mark held; a run that never did is later than all. The interval holds the median with at least 95 %, by order. */
function median(runs) {
  const sorted = runs.map(({ reached }) => reached ?? Number.POSITIVE_INFINITY).sort((a, b) => a - b);
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
  return `${of(middle)} [${of(low)}, ${of(high)}]`;
}

const mean = (numbers) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length;
const lines = [
  "| calls | start | flipped | credit | seeds | updates to 90 % | got there | success at the end |",
  "|---|---|---|---|---|---|---|---|",
];
const CONTROLS = {
  shuffled: "rewards shuffled",
  signed: "−1 for a wrong step",
  blind: "value without the steps that remain",
};
/** Length, start, noise, then controls last. */
const order = (key) => {
  const [length, start, noise, control] = key.split("|");
  return [length.padStart(2), start, Number(noise).toFixed(2), control].join("|");
};
for (const [key, bySeed] of [...cells].sort(([a], [b]) => order(a).localeCompare(order(b)))) {
  const [length, start, noise, control, method] = key.split("|");
  const runs = [...bySeed.values()];
  const there = runs.filter(({ reached }) => reached !== null).length;
  const name = control === "" ? method : `${method}, ${CONTROLS[control]}`;
  const finals = runs.map(({ final }) => final);
  lines.push(
    `| ${length} | ${start} | ${Number(noise) * 100} % | ${name} | ${runs.length} | ${median(runs)} | ${there}/${runs.length} | ${mean(finals).toFixed(2)} [${Math.min(...finals).toFixed(2)}, ${Math.max(...finals).toFixed(2)}] |`,
  );
}
const measured = recipes.map((recipe) => {
  const { commit, date } = rows.findLast((row) => row.recipe === recipe);
  return `Recipe ${recipe}, commit ${commit}, ${date.slice(0, 10)}.`;
});
console.log([...lines, "", ...measured].join("\n"));
