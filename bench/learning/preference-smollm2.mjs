// Sessions until a preference holds, with SmolLM2-135M: the arms of learning/preference over adapters, where the model's file is present.
// A seed takes an hour on two cores, so there are few, with fewer sessions, fewer episodes that are taught again, and smaller held-out sets.
// Two seeds are too few for significance: both signals are to need fewer sessions than either on average.
//
//   node bench/learning/preference-smollm2.mjs [arm=seeds …]     for a part, such as hybrid=1-2
import { existsSync } from "node:fs";
import { createTrainer } from "@afterstate/learner";
import { loadHomework } from "@afterstate/learner/homework";
import { SMOLLM2, smollm2Homework } from "./homework/smollm2-homework.mjs";
import { runArms } from "./preference/run-arms.mjs";
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
  onSession: say,
};
const { results, isWhole } = await runArms(process.argv.slice(2), SEEDS, ({ learner, ...rest }) => {
  const update = { ...learner.update, learningRate: LEARNING_RATE };
  const trains = learner.update === undefined ? learner : { ...learner, replayEpisodes: REPLAY_EPISODES, update };
  return { arm: { ...rest, sessions: SESSIONS, learner: trains }, setting: common };
});
if (isWhole) console.log(JSON.stringify(summarise(results, { significant: 1 })));
await common.trainer.dispose();
