// Sessions until a preference holds, with SmolLM2-135M: the arms of learning/preference over adapters, where the model's file is present.
// A seed takes an hour on two cores, so there are few, with fewer sessions, fewer episodes that are taught again, and smaller held-out sets.
// Two seeds are too few for significance: both signals are to need fewer sessions than either on average. With AFTERSTATE_BENCH_RESUME=1
// what bench/results/ has of the same settings is not run again.
//
//   node bench/learning/preference-smollm2.mjs [arm=seeds …]     for a part, such as hybrid=1-2
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createTrainer } from "@afterstate/learner";
import { loadHomework } from "@afterstate/learner/homework";
import { SMOLLM2, smollm2Homework } from "./homework/smollm2-homework.mjs";
import { runArms } from "./preference/run-arms.mjs";
import { summarise } from "./preference/summary.mjs";

const SEEDS = [1, 2];
/**
 * Adapters of rank 16 bear, and want, a higher learning rate than weights. At that rate one bad vote would outweigh what was asked for in
 * words, so a hint counts for more beside it.
 */
const SETTINGS = {
  sessions: 40,
  replayEpisodes: 6,
  learningRate: 1e-3,
  distillationWeight: 8,
  questions: { check: 40, end: 80 },
};
const RESULTS = fileURLToPath(new URL("../results/learning-preference-smollm2.jsonl", import.meta.url));

if (!existsSync(SMOLLM2)) {
  console.log(JSON.stringify({ skipped: "SmolLM2 is absent; npm run models:test fetches it" }));
  process.exit(0);
}
const say = (line) => process.stderr.write(`${line}\n`);
const homework = loadHomework();
const files = smollm2Homework(homework, say);
const common = {
  files,
  homework,
  trainer: await createTrainer(files.config, files.weights),
  maxContextTokens: 160,
  maxBatch: 32,
  questions: SETTINGS.questions,
  onSession: say,
};
const { sessions, replayEpisodes, learningRate, distillationWeight } = SETTINGS;
const adapted = ({ learner, ...rest }) => {
  const trains = learner.update && { replayEpisodes, update: { ...learner.update, learningRate, distillationWeight } };
  return {
    arm: { ...rest, sessions, learner: { ...learner, ...trains } },
    setting: common,
    notes: { settings: SETTINGS },
  };
};
const { results, isWhole } = await runArms(process.argv.slice(2), SEEDS, adapted, known());
if (isWhole) console.log(JSON.stringify(summarise(results, { significant: 1 })));
await common.trainer.dispose();

function known() {
  if (process.env.AFTERSTATE_BENCH_RESUME !== "1" || !existsSync(RESULTS)) return [];
  const rows = readFileSync(RESULTS, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  return rows.filter(({ settings }) => JSON.stringify(settings) === JSON.stringify(SETTINGS));
}
