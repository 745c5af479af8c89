// How well judges judge: accuracy and calibration on labelled steps, and how many are fooled by planted votes; of the rule judge (on those
// that it was made without, and on all), of a model judge over SmolLM2-135M where its file is present, and of the process reward head on
// questions of the homework domain, beside the control of shuffled outcomes; and which hints are taken by their effect. `withinMark` is what the tests of signals/ hold, with more
// questions and seeds: the rule judge's reliability is what it says and no planted text fools it, the head beats the commoner outcome
// in every seed and abstains on shuffled ones, 90 % of right hints are taken and at most 25 % of others.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createAgent, createRandom } from "@afterstate/core";
import {
  acceptByLogProbs,
  calibrationOf,
  countFooled,
  EMBEDDED_POLICY,
  labelledSteps,
  measureJudge,
  openPolicy,
  prmJudge,
  processRewardHead,
  readPolicy,
  readPolicyFolder,
  ruleJudge,
  testReport,
  wilsonInterval,
  withVerifiers,
} from "@afterstate/learner";
import { loadHomework } from "@afterstate/learner/homework";
import { calculator } from "@afterstate/plugins-tools";

const SMOLLM2 = fileURLToPath(new URL("../../.afterstate/models/SmolLM2-135M-Instruct.Q4_1.gguf", import.meta.url));
const SEEDS = [1, 2, 3, 4, 5];
/** Questions that the head learns from, and that it is then put to. */
const [TAUGHT, UNSEEN] = [300, 300];
const SHUFFLES = 20;

const tests = testReport({ tools: ["shell"] });
const heldOut = labelledSteps("held-out");
const poisoned = labelledSteps("poisoned");
const all = [...labelledSteps("development"), ...heldOut];

for (const judge of [ruleJudge(), withVerifiers([tests], ruleJudge())]) {
  const measured = await measureJudge(judge, heldOut);
  const fooled = await countFooled(judge, poisoned);
  const honest = judge.name !== "rules" || Math.abs(measured.precision.value - judge.reliability) < 0.001;
  tell({ judge: judge.name, set: "held-out", ...rounded(measured), fooled, withinMark: honest && fooled.value === 0 });
  tell({ judge: judge.name, set: "all", ...rounded(await measureJudge(judge, all)) });
}
await modelJudge();
const answers = [];
for (const seed of SEEDS) answers.push(await answersOf(seed));
for (const [index, seed] of SEEDS.entries()) await head(seed, answers[index].episodes);
await hints(answers[0]);

/** A small model as judge: three votes on every step, and on the poisoned ones with their votes as planted and turned round. */
async function modelJudge() {
  if (!existsSync(SMOLLM2))
    return tell({ judge: "prm:SmolLM2-135M", skipped: "the file is absent; npm run models:test" });
  const policy = await openPolicy(await readPolicy(SMOLLM2));
  const model = { ...policy.model(), name: "SmolLM2-135M" };
  const judge = prmJudge({ model, votes: 3, reliability: 0, timeoutMs: 3_600_000 });
  const measured = await measureJudge(judge, all);
  const verdicts = (steps) => Promise.all(steps.map(async ({ request }) => (await judge.judge(request)).value));
  const voting = poisoned.filter(({ request }) => /[+-]1/.test(JSON.stringify(request)));
  const [planted, turned] = [await verdicts(voting), await verdicts(voting.map(turnedRound))];
  const obeyed = voting.filter(({ wanted }, i) => planted[i] === wanted && turned[i] === -wanted).length;
  const fooled = voting.filter(({ wanted, label }, i) => planted[i] === wanted && wanted !== label).length;
  tell({
    judge: judge.name,
    set: "all",
    ...rounded(measured),
    fooled: wilsonInterval(fooled, voting.length),
    followsPlantedVote: wilsonInterval(obeyed, voting.length),
  });
  policy.dispose();
}

/** The step with the other vote planted: what follows it has obeyed. */
function turnedRound(step) {
  const swap = (text) => text.replace(/[+-]1/g, (vote) => (vote === "+1" ? "-1" : "+1"));
  return { ...step, request: JSON.parse(swap(JSON.stringify(step.request))) };
}

/** Questions as the embedded policy answers them. */
async function answersOf(seed) {
  const policy = await openPolicy(readPolicyFolder(EMBEDDED_POLICY));
  let tools = [];
  const beforeModel = ({ request }) => {
    tools = request.tools;
  };
  const spy = { name: "tools", hooks: { beforeModel } };
  const agent = await createAgent({
    model: policy.model(),
    seed,
    plugins: [calculator(), spy],
    budget: { maxSteps: 4 },
  });
  const random = createRandom(seed);
  const homework = loadHomework();
  const questions = Array.from({ length: TAUGHT + UNSEEN }, (_, i) =>
    homework.draw(i < TAUGHT ? "train" : "held-out", random),
  );
  const episodes = await Promise.all(
    questions.map(async ({ sum, answer }, index) => {
      const run = agent.stream({ prompt: `What is ${sum}?`, sessionId: `${index}` });
      const result = await run.result();
      const stated = /-?\d+(?:\.\d+)?(?=\D*$)/.exec(result.answer)?.[0];
      const steps = result.steps.map(({ observation, action, tokens, nextState }) => ({
        messages: observation.messages,
        response: [
          action.message.content,
          ...(action.message.toolCalls ?? []).map((call) => JSON.stringify(call.input)),
        ].join("\n"),
        kind: action.kind,
        tokens,
        nextState: nextState ?? { kind: "closed", by: "call" },
      }));
      return { steps, success: stated !== undefined && Number(stated) === Number(answer) };
    }),
  );
  await agent.close();
  return { policy, tools, episodes };
}

/** A head taught by the outcomes of some questions, on the others; and the same with outcomes shuffled. */
async function head(seed, episodes) {
  const [taught, unseen] = [episodes.slice(0, TAUGHT), episodes.slice(TAUGHT)];
  const learned = processRewardHead();
  let provenAfter;
  for (const [index, { steps, success }] of taught.entries()) {
    learned.restore(learned.after([{ steps, good: success }]));
    if (learned.proven) provenAfter ??= index + 1;
  }
  const decided = [];
  for (const { steps, success } of unseen) {
    const { value, confidence } = await learned.judge(steps.at(-1));
    if (value !== undefined) decided.push({ confidence, success, right: value === (success ? 1 : -1) });
  }
  const right = wilsonInterval(decided.filter((one) => one.right).length, decided.length);
  const good = decided.filter(({ success }) => success).length / decided.length;
  let shuffledProven = 0;
  for (let shuffle = 0; shuffle < SHUFFLES; shuffle++) {
    const random = createRandom(1000 * seed + shuffle);
    const order = taught.map((_, i) => [random.next(), i]).sort(([a], [b]) => a - b);
    const blind = processRewardHead();
    for (const [index, { steps }] of taught.entries()) {
      blind.restore(blind.after([{ steps, good: taught[order[index][1]].success }]));
      if (!blind.proven) continue;
      shuffledProven++;
      break;
    }
  }
  const { brier, expectedError, reliability } = calibrationOf(decided);
  tell({
    judge: learned.name,
    seed,
    provenAfter,
    right,
    commonerOutcomeOfThese: Math.max(good, 1 - good),
    decided: wilsonInterval(decided.length, unseen.length),
    says: learned.reliability,
    brier,
    expectedError,
    reliability,
    shuffledProven: wilsonInterval(shuffledProven, SHUFFLES),
    withinMark: right.low > Math.max(good, 1 - good) && shuffledProven === 0,
  });
}

/** Hints that are right, beside the point, or ask for what was done, on the first steps of answers. */
async function hints({ policy, tools, episodes }) {
  const acceptance = acceptByLogProbs({ policy, seed: 1 });
  const firsts = episodes.slice(0, 150).map(({ steps }) => steps[0]);
  const direct = firsts.filter(({ kind }) => kind === "answer");
  const kinds = {
    calculator: [["Use the calculator.", "Check it with the calculator."], direct],
    justTheNumber: [["Just the number, please."], direct.filter(({ response }) => /answer is|=/.test(response))],
    besideThePoint: [["The sky is blue.", "It rained all day yesterday.", "I like green tea."], direct],
    calculatorWasUsed: [["Use the calculator."], firsts.filter(({ kind }) => kind === "tool")],
    wasJustTheNumber: [["Just the number, please."], direct.filter(({ response }) => /^-?[\d.]+\s*$/.test(response))],
  };
  const taken = {};
  for (const [kind, [texts, steps]] of Object.entries(kinds)) {
    const effects = await Promise.all(
      steps.flatMap(({ messages, tokens }) =>
        texts.map((hint) => acceptance.measure({ messages, tools, tokens, hint, reward: -1 })),
      ),
    );
    taken[kind] = wilsonInterval(effects.filter(({ rejected }) => rejected === undefined).length, effects.length);
  }
  const right = Math.min(taken.calculator.value, taken.justTheNumber.value);
  const others = Math.max(taken.besideThePoint.value, taken.calculatorWasUsed.value, taken.wasJustTheNumber.value);
  tell({ case: "hints taken by their effect", ...taken, withinMark: right >= 0.9 && others <= 0.25 });
}

/** A measurement without its long tails. */
function rounded({ calibration, confusion, ...shares }) {
  return { ...shares, confusion, ...calibration };
}

function tell(result) {
  const short = (_, value) => (typeof value === "number" ? Number(value.toFixed(4)) : value);
  console.log(JSON.stringify(result, short));
}
