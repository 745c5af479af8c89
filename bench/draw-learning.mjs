// `node bench/draw-learning.mjs`: draws docs/learning.svg from the last run of each seed in bench/results/learning-reactions.jsonl.
import { readFileSync, writeFileSync } from "node:fs";

const read = (path) => readFileSync(new URL(path, import.meta.url), "utf8");
const lines = read("results/learning-reactions.jsonl")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));
const runs = [...new Map(lines.map((run) => [run.seed, run])).values()];

const PANELS = [
  { title: "answered rightly", column: 1 },
  { title: "answered as the users want", column: 2 },
];
const ARMS = [
  { arm: "control", color: "#9aa0a6", label: "control: votes shuffled, no hints" },
  { arm: "learner", color: "#1a7f5a", label: "learns from reactions" },
];
const [WIDTH, HEIGHT, LEFT, TOP] = [300, 180, 52, 34];
const sessions = Math.max(...runs.flatMap(({ curves }) => curves.learner.map(([session]) => session)));
const x = (session) => (session / sessions) * WIDTH;
const y = (share) => (1 - share) * HEIGHT;

const path = (points) =>
  points.map(([px, py], i) => `${i === 0 ? "M" : "L"}${px.toFixed(1)} ${py.toFixed(1)}`).join("");
const meanOf = (arm, column) =>
  runs[0].curves[arm].map(([session], i) => [
    session,
    runs.reduce((sum, { curves }) => sum + (curves[arm][i] ?? curves[arm].at(-1))[column], 0) / runs.length,
  ]);

const panel = ({ title, column }, index) => `
<g transform="translate(${LEFT + index * (WIDTH + 60)} ${TOP})">
<text x="0" y="-12" class="title">${title}</text>
${[0, 0.25, 0.5, 0.75, 1].map((share) => `<path d="M0 ${y(share)}H${WIDTH}" class="grid"/><text x="-8" y="${y(share) + 4}" class="share">${share * 100} %</text>`).join("\n")}
${[0, sessions / 2, sessions].map((session) => `<text x="${x(session)}" y="${HEIGHT + 18}" class="session">${session}</text>`).join("")}
<text x="${WIDTH / 2}" y="${HEIGHT + 34}" class="session">sessions</text>
${ARMS.map(({ arm, color }) =>
  [
    ...runs.map(
      ({ curves }) =>
        `<path d="${path(curves[arm].map((point) => [x(point[0]), y(point[column])]))}" stroke="${color}" class="seed"/>`,
    ),
    `<path d="${path(meanOf(arm, column).map(([session, share]) => [x(session), y(share)]))}" stroke="${color}" class="mean"/>`,
  ].join("\n"),
).join("\n")}
</g>`;

const total = [LEFT + 2 * WIDTH + 60 + 20, TOP + HEIGHT + 64];
writeFileSync(
  new URL("../docs/learning.svg", import.meta.url),
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${total.join(" ")}" font-family="system-ui, sans-serif" font-size="11">
<title>Held-out questions while the agent learns: mean of ${runs.length} seeds, each seed thin</title>
<style>.title{font-size:13px;font-weight:600;fill:#202124}.grid{stroke:#e3e5e8}.share{text-anchor:end;fill:#5f6368}.session{text-anchor:middle;fill:#5f6368}.seed{fill:none;stroke-width:1;opacity:.3}.mean{fill:none;stroke-width:2.5}</style>
<rect width="100%" height="100%" fill="#fff"/>${PANELS.map(panel).join("")}
${ARMS.map(({ color, label }, i) => `<path d="M${LEFT + (1 - i) * 180} ${total[1] - 14}h24" stroke="${color}" stroke-width="2.5"/><text x="${LEFT + (1 - i) * 180 + 30}" y="${total[1] - 10}" fill="#202124">${label}</text>`).join("")}
</svg>
`,
);
