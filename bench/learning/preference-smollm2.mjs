// Sessions until a preference holds, with SmolLM2-135M: the arms of learning/preference over adapters, where the model's file is present.
// A seed takes an hour on two cores, so there are few, with fewer sessions, fewer episodes that are taught again, and smaller held-out sets.
//
//   node bench/learning/preference-smollm2.mjs [arm=seeds …]     for a part, such as hybrid=1-2
import { existsSync } from "node:fs";
import { createTrainer } from "@afterstate/learner";
import { loadHomework } from "@afterstate/learner/homework";
import { SMOLLM2, smollm2Homework } from "./homework/smollm2-homework.mjs";
import { ARMS } from "./preference/arms.mjs";
import { runArm } from "./preference/run-arm.mjs";
import { summarise } from "./preference/summary.mjs";

const SEEDS = [1, 2];
const SESSIONS = 30;
const REPLAY_EPISODES = 6;
/** Adapters of rank 16 bear, and want, more than weights. */
const LEARNING_RATE = 1e-3;

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
  questions: { check: 40, end: 80 },
};
const parts = process.argv.slice(2).map((part) => {
  const [arm, seeds] = part.split("=");
  const [from, to = from] = seeds.split("-").map(Number);
  return [arm, SEEDS.filter((seed) => seed >= from && seed <= to)];
});
const results = [];
for (const [arm, seeds] of parts.length > 0 ? parts : Object.keys(ARMS).map((arm) => [arm, SEEDS]))
  for (const seed of seeds) {
    const { learner, ...rest } = ARMS[arm];
    const update = { ...learner.update, learningRate: LEARNING_RATE };
    const trains = learner.update === undefined ? learner : { ...learner, replayEpisodes: REPLAY_EPISODES, update };
    const smaller = { ...rest, sessions: SESSIONS, learner: trains };
    say(`${arm}, seed ${seed}`);
    results.push(await runArm(arm, smaller, { ...common, seed, onSession: say }));
    console.log(JSON.stringify(results.at(-1)));
  }
if (parts.length === 0) console.log(JSON.stringify(summarise(results)));
await common.trainer.dispose();
