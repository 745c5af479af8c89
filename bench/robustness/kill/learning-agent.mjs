// The program that is killed: an agent with the embedded policy that answers simulated users and learns from them over a data folder. It
// says on standard output, unbuffered, which steps the log has acknowledged and what is being done. With `finish` it holds no session,
// closes those that were left open, learns what is left and ends.
import { writeSync } from "node:fs";
import { join } from "node:path";
import { createAgent, openEventLog } from "@afterstate/core";
import * as learning from "@afterstate/learner";
import { createSimulatedUsers, loadHomework } from "@afterstate/learner/homework";
import { calculator } from "@afterstate/plugins-tools";

const [folder, seed, task = "collect"] = process.argv.slice(2);
/** Sessions that are held side by side. */
const SIDE_BY_SIDE = 3;
const GATE_QUESTIONS = 3;
/** Where more episodes than that wait to be learned from, no session begins. */
const MOST_WAITING = 6;

const say = (...words) => writeSync(1, `${words.join(" ")}\n`);
/** Runs a call and says which phase it is in. What collects meanwhile is not said. */
const during =
  (phase, call) =>
  async (...args) => {
    say("phase", phase);
    try {
      return await call(...args);
    } finally {
      say("phase", "collection");
    }
  };

const files = learning.readPolicyFolder(learning.EMBEDDED_POLICY);
const homework = loadHomework();
const policy = await learning.openPolicy(files, { maxTokens: 24 });
const trainer = await learning.createWorkerTrainer(files.config);
const opened = await openEventLog(join(folder, "events"));
const log = {
  read: (from) => opened.read(from),
  close: () => opened.close(),
  get nextOffset() {
    return opened.nextOffset;
  },
  cutBytes: opened.cutBytes,
  async append(event) {
    const offset = await opened.append(event);
    if (event.type === "action") say("step", JSON.stringify([event.episodeId, event.stepIndex]));
    return offset;
  },
};
const store = await learning.openVersionStore(join(folder, "policies"));
const held = homework.drawDistinct("gate", GATE_QUESTIONS, 0);

/** Whether a version answers held-out questions with the number that is asked for. */
async function evaluate(version) {
  const agent = await createAgent({ model: policy.model(version), seed: 0, budget: { maxSteps: 1 } });
  const scores = await Promise.all(
    held.map(async ({ sum, answer }) => {
      const { answer: said } = await agent.stream({ prompt: `What is ${sum}?` }).result();
      return said.includes(answer) ? 1 : 0;
    }),
  );
  await agent.close();
  return scores;
}

const learner = learning.onlineLearner({
  policy,
  trainer: { ...trainer, update: during("update", trainer.update) },
  log,
  store: {
    ...store,
    write: during("swap", store.write),
    writeBatch: during("swap", store.writeBatch),
    point: during("swap", store.point),
    prune: during("swap", store.prune),
  },
  judge: learning.ruleJudge(),
  hintReader: learning.ruleHintReader(),
  gate: { evaluate: during("gate", evaluate) },
  mode: "live",
  signals: "hybrid",
  batchEpisodes: 3,
  maxStaleness: 8,
  keepVersions: 2,
  update: { stepSize: "fixed", learningRate: 3e-5, epochs: 1 },
});
const agent = await createAgent({
  model: policy.model(),
  seed: Number(seed),
  log,
  plugins: [calculator(), learner],
  budget: { maxSteps: 3 },
  maxContextTokens: 90,
});
agent.events.on("error", ({ code, message }) => say("error", code, message));
agent.events.on("policy-promotion", ({ version }) => say("serves", version));
say("ready", policy.serving, Math.round(performance.now()));

const open = new Set();
let sessions = 0;
for await (const { event } of log.read(0)) {
  const number = /^session-(\d+)$/.exec(event.sessionId)?.[1];
  if (number === undefined) continue;
  sessions = Math.max(sessions, Number(number) + 1);
  if (event.type === "episode-start") open.add(event.sessionId);
  if (event.type === "next-state" && event.nextState.kind === "closed") open.delete(event.sessionId);
}
for (const sessionId of open) await agent.closeSession(sessionId, "idle");

if (task === "finish") {
  await learner.settled();
  await agent.close();
  await log.close();
  await trainer.dispose();
  policy.dispose();
} else {
  const users = createSimulatedUsers(homework, { seed: Number(seed), firstSession: sessions });
  const converse = async () => {
    for (;;) {
      if (learner.report().pending > MOST_WAITING) await learner.settled();
      const { opening, sessionId, userId, react } = users.session();
      for (let said = { text: opening, leaves: false }; ; ) {
        const { answer } = await agent.stream({ prompt: said.text, sessionId, userId }).result();
        if (said.leaves) break;
        said = react(answer);
      }
      await agent.closeSession(sessionId, "call");
    }
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, converse));
}
