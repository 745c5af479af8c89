// Two users of one policy who want unlike things, bare numbers and full sentences: how often each is served as they want in their last 24
// sessions of 48, and what that does to the answers that strangers get from the same weights. With learned text and corrections that know
// whose they are, with learned text alone, and without text. `withinMark`: both are served in nine sessions of ten where text is learned and
// corrections are attributed, strangers' answers change by less than 15 points, and without text one of the users is served in less than
// nine of ten.
import { createAgent, memoryEventLog } from "@afterstate/core";
import {
  createTrainer,
  EMBEDDED_POLICY,
  learnedText,
  onlineLearner,
  openPolicy,
  readPolicyFolder,
  ruleHintReader,
  ruleJudge,
} from "@afterstate/learner";
import { createSimulatedUsers, loadHomework, scoreAnswer } from "@afterstate/learner/homework";
import { calculator } from "@afterstate/plugins-tools";

const SEEDS = [1, 2, 3, 4, 5];
const SESSIONS = 48;
const LAST = 24;
const QUESTIONS = 100;
const FORMATS = ["bare", "sentence"];

const homework = loadHomework();
const files = readPolicyFolder(EMBEDDED_POLICY);
const trainer = await createTrainer(files.config);
for (const seed of SEEDS) {
  process.stderr.write(`seed ${seed}\n`);
  const attributed = await live(seed, { text: true, attribution: true });
  const textAlone = await live(seed, { text: true, attribution: false });
  const withoutText = await live(seed, { text: false, attribution: false });
  const withinMark =
    Math.min(...attributed.served) >= 0.9 && attributed.drift < 0.15 && Math.min(...withoutText.served) < 0.9;
  console.log(JSON.stringify({ seed, attributed, textAlone, withoutText, withinMark }));
}
await trainer.dispose();

/** @returns shares of answers as each user wants them, and of strangers' answers in each format, before and every twelve sessions. */
async function live(seed, { text: learnsText, attribution }) {
  const policy = await openPolicy(files, { maxBatch: 128 });
  const log = memoryEventLog();
  const text = learnedText({ log });
  const learner = onlineLearner({
    policy,
    trainer,
    log,
    judge: ruleJudge(),
    hintReader: ruleHintReader(),
    mode: "live",
    signals: "hybrid",
    seed,
    batchEpisodes: 8,
    // With two users each of them contradicts all others.
    feedback: "trusted",
    ...(attribution && { attribution: text }),
  });
  const plugins = [calculator(), ...(learnsText ? [text] : []), learner];
  const agent = await createAgent({ model: policy.model(), seed, log, plugins });
  const users = FORMATS.map((format, user) => {
    const preference = { format, useName: false };
    const options = { seed: seed * 10 + user, users: 1, firstSession: 1, gameShare: 0, preference };
    return { userId: `wants-${format}`, preference, served: [], sessions: createSimulatedUsers(homework, options) };
  });
  const strangers = [await answersOfStrangers(policy, seed)];
  for (let day = 1; day <= SESSIONS; day++) {
    for (const { userId, preference, served, sessions } of users) {
      const { sessionId, opening, react, question } = sessions.session();
      const session = { sessionId: `${userId}-${sessionId}`, userId };
      const { answer } = await agent.stream({ ...session, prompt: opening }).result();
      served.push(scoreAnswer(question, answer, preference, "").preferenceHeld);
      await agent.stream({ ...session, prompt: react(answer).text }).result();
      await agent.closeSession(session.sessionId, "call");
      await learner.settled();
      await text.settled();
    }
    if (day % 12 === 0) strangers.push(await answersOfStrangers(policy, seed));
  }
  await agent.close();
  policy.dispose();
  const served = users.map(({ served: all }) => Number((all.slice(-LAST).filter(Boolean).length / LAST).toFixed(3)));
  const away = strangers.map((shares) => Math.max(...shares.map((share, f) => Math.abs(share - strangers[0][f]))));
  return { served, strangers, drift: Number(Math.max(...away).toFixed(3)), corrections: text.state.corrections };
}

/** Shares of answers in each format to people of whom nothing is known. */
async function answersOfStrangers(policy, seed) {
  const agent = await createAgent({ model: policy.model(), seed, plugins: [calculator()] });
  const questions = homework.drawDistinct("held-out", QUESTIONS, seed);
  const answers = await Promise.all(
    questions.map(async ({ sum }, i) => {
      const { answer } = await agent.stream({ prompt: `What is ${sum}?`, sessionId: `s${i}`, seed: i }).result();
      return answer;
    }),
  );
  await agent.close();
  return FORMATS.map((format) => {
    const isPut = (question, i) =>
      scoreAnswer(question, answers[i], { format, useName: false }, "").preferenceHeld ? 1 : 0;
    return questions.reduce((sum, question, i) => sum + isPut(question, i), 0) / QUESTIONS;
  });
}
