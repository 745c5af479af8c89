// Sessions until a preference of the users holds: rewards, hints, both, text, text and weights, and a control. A session is one question and
// its reaction. The preference holds after s sessions when the next three are right and as wanted, and more than 80 % of the held-out
// questions are answered as wanted, by the version and text of then and 4, 8 and 12 sessions later.
//
//   node bench/learning/preference.mjs [arm=seeds …]     for a part, such as hybrid=1-3; without arguments all of it, with the summary
import { createTrainer, EMBEDDED_POLICY, readPolicyFolder } from "@afterstate/learner";
import { loadHomework } from "@afterstate/learner/homework";
import { CONTEXT_TOKENS } from "./homework/classroom.mjs";
import { runArms } from "./preference/run-arms.mjs";
import { summarise } from "./preference/summary.mjs";

const SEEDS = Array.from({ length: 10 }, (_, index) => index + 1);

const files = readPolicyFolder(EMBEDDED_POLICY);
const common = {
  files,
  homework: loadHomework(),
  trainer: await createTrainer(files.config),
  maxContextTokens: CONTEXT_TOKENS,
  maxBatch: 128,
  questions: { check: 100, end: 200 },
};
const { results, isWhole } = await runArms(process.argv.slice(2), SEEDS, (arm) => ({ arm, setting: common }));
if (isWhole) console.log(JSON.stringify(summarise(results)));
await common.trainer.dispose();
