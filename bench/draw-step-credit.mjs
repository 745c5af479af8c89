// `node bench/draw-step-credit.mjs`: draws docs/step-credit.svg from the last recipe in bench/results/learning-step-credit.jsonl.
import { readFileSync, writeFileSync } from "node:fs";
import { mean } from "./statistics.mjs";

const rows = readFileSync(new URL("results/learning-step-credit.jsonl", import.meta.url), "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));
const { recipe } = rows.at(-1);
const runs = rows.filter((row) => row.recipe === recipe && row.control === undefined);

const METHODS = [
  { method: "broadcast", color: "#9aa0a6", label: "broadcast of the outcome" },
  { method: "gigpo", color: "#4285f4", label: "gigpo, outcome alone" },
  { method: "broadcast-judged", color: "#c26401", label: "broadcast of outcome and verdicts" },
  { method: "step", color: "#1a7f5a", label: "step" },
  { method: "gigpo-judged", color: "#7b3fb5", label: "gigpo with verdicts" },
  { method: "hiper", color: "#c5221f", label: "hiper" },
];
const SETTINGS = [
  { start: "knows", noise: 0, title: "knows the steps" },
  { start: "knows", noise: 0.2, title: "knows, 20 % flipped" },
  { start: "rare", noise: 0, title: "rarely gets through" },
  { start: "rare", noise: 0.2, title: "rarely, 20 % flipped" },
];
const [WIDTH, HEIGHT, LEFT, TOP, GAP] = [170, 110, 104, 40, 26];
const BUDGET = Math.max(...runs.map(({ updates }) => updates));
const lengths = [...new Set(runs.map(({ length }) => length))].sort((a, b) => a - b);
const x = (update) => (update / BUDGET) * WIDTH;
const y = (share) => (1 - share) * HEIGHT;

/** Mean success by update; a run that has ended stays where it was. */
function meanCurve(of) {
  const updates = [...new Set([...of.flatMap(({ curve }) => curve.map(([update]) => update)), BUDGET])];
  updates.sort((a, b) => a - b);
  return updates.map((update) => [update, mean(of.map(({ curve }) => curve.findLast(([at]) => at <= update)[1]))]);
}

const line = (points) =>
  points.map(([update, share], i) => `${i === 0 ? "M" : "L"}${x(update).toFixed(1)} ${y(share).toFixed(1)}`).join("");

function panel(length, row, { start, noise, title }, column) {
  const curves = METHODS.flatMap(({ method, color }) => {
    const of = runs.filter(
      (run) => run.length === length && run.start === start && run.noise === noise && run.method === method,
    );
    return of.length === 0 ? [] : [`<path d="${line(meanCurve(of))}" stroke="${color}" class="mean"/>`];
  });
  return `
<g transform="translate(${LEFT + column * (WIDTH + GAP)} ${TOP + row * (HEIGHT + GAP)})">
${row === 0 ? `<text x="0" y="-14" class="title">${title}</text>` : ""}
${column === 0 ? `<text x="-98" y="${HEIGHT / 2}" class="title">${length} ${length === 1 ? "call" : "calls"}</text>` : ""}
${[0, 0.5, 0.9, 1].map((share) => `<path d="M0 ${y(share)}H${WIDTH}" class="${share === 0.9 ? "mark" : "grid"}"/>`).join("")}
${column === 0 ? [0, 0.5, 0.9].map((share) => `<text x="-6" y="${y(share) + 4}" class="share">${share * 100} %</text>`).join("") : ""}
${row === lengths.length - 1 ? [0, BUDGET / 2, BUDGET].map((update) => `<text x="${x(update)}" y="${HEIGHT + 16}" class="update">${update}</text>`).join("") : ""}
${curves.join("\n")}
</g>`;
}

const size = [LEFT + SETTINGS.length * (WIDTH + GAP), TOP + lengths.length * (HEIGHT + GAP) + 62];
const legend = METHODS.map(({ color, label }, i) => {
  const [left, top] = [LEFT + (i % 3) * 220, size[1] - 32 + Math.floor(i / 3) * 20];
  return `<path d="M${left} ${top}h24" stroke="${color}" stroke-width="2.5"/><text x="${left + 30}" y="${top + 4}" fill="#202124">${label}</text>`;
});
writeFileSync(
  new URL("../docs/step-credit.svg", import.meta.url),
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.join(" ")}" font-family="system-ui, sans-serif" font-size="11">
<title>Success on held-out chains by update: means over seeds</title>
<style>.title{font-size:13px;font-weight:600;fill:#202124}.grid{stroke:#e3e5e8}.mark{stroke:#9aa0a6;stroke-dasharray:3 3}.share{text-anchor:end;fill:#5f6368}.update{text-anchor:middle;fill:#5f6368}.mean{fill:none;stroke-width:1.8}</style>
<rect width="100%" height="100%" fill="#fff"/>${lengths.map((length, row) => SETTINGS.map((setting, column) => panel(length, row, setting, column)).join("")).join("")}
<text x="${LEFT + (SETTINGS.length * (WIDTH + GAP)) / 2}" y="${size[1] - 50}" class="update">updates</text>
${legend.join("\n")}
</svg>
`,
);
