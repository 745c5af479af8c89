// What the agent of the demo learns from its users' reactions, seed by seed, beside the control. Each seed is a whole `npm start`
// in a process of its own; `withinMark` is what the demo promises: held-out success up by 40 points, the preference from under .3
// to over .9, the control's intervals not above 0, no refused request, under 8 minutes.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const SEEDS = [7, 1, 2, 3, 4, 5];
const DEMO = fileURLToPath(new URL("../../apps/demo/dist/main.js", import.meta.url));

for (const seed of SEEDS) {
  process.stderr.write(`seed ${seed}\n`);
  console.log(JSON.stringify(await runDemo(seed)));
}

async function runDemo(seed) {
  const child = spawn(process.execPath, [DEMO, "--exit", "--json", "--seed", String(seed)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const curves = { learner: [], control: [] };
  let summary;
  for await (const line of createInterface({ input: child.stdout })) {
    const said = JSON.parse(line);
    if (said.type === "evaluation")
      curves[said.arm].push([said.session, said.success.value, said.preference.value, said.toolRate.value]);
    if (said.type === "summary") summary = said;
  }
  if (summary === undefined) throw new Error(`the demo with seed ${seed} ended without a summary`);
  const { before, after, control } = summary;
  return {
    seed,
    ...summary,
    curves,
    withinMark:
      after.success - before.success >= 0.4 &&
      before.preference < 0.3 &&
      after.preference > 0.9 &&
      control.after.successChange[0] <= 0 &&
      control.after.preferenceChange[0] <= 0 &&
      summary.refused === 0 &&
      summary.samplesLost === 0 &&
      summary.seconds < 480,
  };
}
