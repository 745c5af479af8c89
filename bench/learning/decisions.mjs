// A decision that is learned from reactions: what the embedded policy is told besides the question, by a bandit, seed by seed, beside
// a control whose verdicts are those of other sessions. The estimate of what the best instruction brings over the logged choices is
// compared with its true lift, measured apart. `withinMark`: the best has nine tenths of the last hundred sessions; and in the line over all
// seeds: the control's best has less than half of them on average, and the interval holds the true lift in eight seeds of ten.
import { createAgent, createRandom, DECIDER, memoryEventLog, mixSeed, withGuidance } from "@afterstate/core";
import {
  banditDecider,
  EMBEDDED_POLICY,
  estimateDecision,
  openPolicy,
  readPolicyFolder,
  ruleHintReader,
  ruleJudge,
  signalReader,
} from "@afterstate/learner";
import { ANSWER_FORMATS, createSimulatedUsers, loadHomework } from "@afterstate/learner/homework";
import { calculator } from "@afterstate/plugins-tools";

const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
const SESSIONS = 400;
/** Over so many sessions the share of an alternative is taken. */
const WINDOW = 50;
const TRUTH_SESSIONS = 400;
const WIDTH = 64;

const INSTRUCTIONS = {
  nothing: "",
  calculator: "Use the calculator.",
  bare: "Use the calculator. Just the number, please.",
  sentence: "Use the calculator. Please answer in a full sentence.",
  working: "Use the calculator. Show the working, please.",
};
const ALTERNATIVES = Object.keys(INSTRUCTIONS);
const instruction = {
  name: "instruction",
  alternatives: ALTERNATIVES,
  scope: "episode",
  apply: (choice, request) => {
    const text = INSTRUCTIONS[choice];
    return text === "" ? request : { ...request, messages: withGuidance(request.messages, text) };
  },
};

const homework = loadHomework();
const files = readPolicyFolder(EMBEDDED_POLICY);
const policy = await openPolicy(files, { maxBatch: WIDTH });

const outcomes = [];
for (const seed of SEEDS) {
  process.stderr.write(`seed ${seed}\n`);
  const truth = await trueRewards(seed);
  const best = ALTERNATIVES.reduce((a, b) => (truth[b].mean > truth[a].mean ? b : a));
  const others = ALTERNATIVES.flatMap((one) => truth[one].rewards);
  const bandit = await learn(seed, best, ruleJudge());
  const control = await learn(seed, best, verdictsOf(others, ruleJudge(), seed));
  const logged = bandit.shares.reduce((sum, share, a) => sum + share * truth[ALTERNATIVES[a]].mean, 0);
  const lift = truth[best].mean - logged;
  const { ips, snips, doublyRobust } = bandit.estimates.find(({ policy: of }) => of === `always ${best}`);
  const isCovered = doublyRobust.lift.low <= lift && lift <= doublyRobust.lift.high;
  const rounded = ({ value, low, high }) => [value, low, high].map((number) => Number(number.toFixed(4)));
  console.log(
    JSON.stringify({
      seed,
      best,
      truth: Object.fromEntries(ALTERNATIVES.map((one) => [one, Number(truth[one].mean.toFixed(3))])),
      sessionsUntilBest: bandit.until,
      bestShare: bandit.lastShare,
      controlSessionsUntilBest: control.until,
      controlBestShare: control.lastShare,
      meanReward: Number(bandit.meanReward.toFixed(3)),
      trueLift: Number(lift.toFixed(4)),
      trueLiftError: Number((1.96 * truth[best].error).toFixed(4)),
      lift: { ips: rounded(ips.lift), snips: rounded(snips.lift), doublyRobust: rounded(doublyRobust.lift) },
      doublyRobustCovers: isCovered,
      withinMark: bandit.lastShare >= 0.9,
    }),
  );
  outcomes.push({ until: bandit.until, control: control.lastShare, covers: isCovered });
}
policy.dispose();
const controlBestShare = outcomes.reduce((sum, { control }) => sum + control, 0) / outcomes.length;
const covered = outcomes.filter(({ covers }) => covers).length;
console.log(
  JSON.stringify({
    seeds: SEEDS.length,
    sessionsUntilBest: outcomes.map(({ until }) => until),
    controlBestShare: Number(controlBestShare.toFixed(3)),
    covered,
    withinMark: controlBestShare < 0.5 && covered >= 0.8 * SEEDS.length,
  }),
);

function usersOf(seed, firstSession) {
  const format = createRandom(mixSeed(seed, "format")).pick(ANSWER_FORMATS);
  // Nobody introduces themselves any more in sessions beyond the first of each user, and nobody is to be called by name.
  return createSimulatedUsers(homework, { seed, firstSession, gameShare: 0, preference: { format, useName: false } });
}

function open(seed, log, plugins) {
  return createAgent({
    model: policy.model(),
    seed,
    log,
    maxContextTokens: 90,
    budget: { maxSteps: 4 },
    plugins: [calculator(), ...plugins],
  });
}

/** Sessions of a question and its reaction, with choices by a bandit. */
async function learn(seed, best, judge) {
  const log = memoryEventLog();
  const bandit = banditDecider({ log, seed });
  const reader = signalReader({ log, judge, hintReader: ruleHintReader() });
  const agent = await open(seed, log, [bandit, reader, { name: "instruction", decisions: [instruction] }]);
  const choices = [];
  agent.events.on("decision", ({ episodeId, choice }) => episodeId.endsWith("/0") && choices.push(choice));
  const users = usersOf(seed, 1000);
  for (let i = 0; i < SESSIONS; i++) {
    const { sessionId, userId, opening, react } = users.session();
    const { answer } = await agent.stream({ prompt: opening, sessionId, userId }).result();
    // What is answered to the reaction gets no reward: nobody says anything to it.
    await agent.stream({ prompt: react(answer).text, sessionId, userId }).result();
    await agent.closeSession(sessionId, "call");
    await reader.settled();
    await bandit.settled();
  }
  await agent.close();
  const isBest = choices.map((choice) => choice === best);
  const share = (from, to) => isBest.slice(from, to).filter(Boolean).length / (to - from);
  const first = isBest.findIndex((_, i) => i + WINDOW <= SESSIONS && share(i, i + WINDOW) >= 0.9);
  const known = bandit.known.get("instruction");
  return {
    until: first < 0 ? null : first + 1,
    lastShare: share(SESSIONS - 100, SESSIONS),
    shares: ALTERNATIVES.map(
      (one) => known.choices.filter(({ choice }) => choice === one).length / known.choices.length,
    ),
    meanReward: known.choices.reduce((sum, { reward }) => sum + reward, 0) / known.choices.length,
    estimates: estimateDecision(known),
  };
}

/** Instead of a judge's own verdicts those of other sessions, in which each alternative was taken equally often. */
function verdictsOf(rewards, judge, seed) {
  const random = createRandom(mixSeed(seed, "verdicts"));
  return {
    ...judge,
    async judge(request) {
      const verdict = await judge.judge(request);
      return verdict.value === undefined ? verdict : { ...verdict, value: random.pick(rewards) };
    },
  };
}

/** The mean reward of each alternative, always taken, in sessions that the bandit did not hold. */
async function trueRewards(seed) {
  const judge = ruleJudge();
  const truth = {};
  for (const alternative of ALTERNATIVES) {
    const fixed = { choose: () => ({ choice: alternative, propensity: 1 }) };
    const decider = { name: "fixed", provides: [DECIDER], setup: ({ provide }) => provide(DECIDER, fixed) };
    const agent = await open(seed, memoryEventLog(), [decider, { name: "instruction", decisions: [instruction] }]);
    const users = usersOf(seed, 100_000);
    const rewards = [];
    for (let held = 0; held < TRUTH_SESSIONS; held += WIDTH) {
      const sessions = Array.from({ length: Math.min(WIDTH, TRUTH_SESSIONS - held) }, () => users.session());
      const wave = sessions.map(async ({ sessionId, userId, opening, react }) => {
        const { answer } = await agent.stream({ prompt: opening, sessionId, userId }).result();
        const { text } = react(answer);
        const messages = [{ role: "user", content: opening }];
        const { value } = await judge.judge({ messages, response: answer, nextState: { kind: "user", text } });
        return value ?? 0;
      });
      rewards.push(...(await Promise.all(wave)).filter((value) => value !== 0));
    }
    await agent.close();
    const mean = rewards.reduce((sum, value) => sum + value, 0) / rewards.length;
    const squares = rewards.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    truth[alternative] = { rewards, mean, error: Math.sqrt(squares / (rewards.length - 1) / rewards.length) };
  }
  return truth;
}
