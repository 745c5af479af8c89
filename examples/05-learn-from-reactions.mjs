// The whole loop: users react in words, the learner reads reward and hints off them, and new policy versions serve.
import { createAgent, memoryEventLog } from "@afterstate/core";
import * as learning from "@afterstate/learner";
import { createSimulatedUsers, loadHomework } from "@afterstate/learner/homework";
import { memoryBank } from "@afterstate/plugins-memory";
import { calculator } from "@afterstate/plugins-tools";

const files = learning.readPolicyFolder(learning.EMBEDDED_POLICY);
const policy = await learning.openPolicy(files);
const trainer = await learning.createWorkerTrainer(files.config);
const log = memoryEventLog();
const learner = learning.onlineLearner({
  policy,
  trainer,
  log,
  judge: learning.ruleJudge(),
  hintReader: learning.ruleHintReader(),
  mode: "live",
  signals: "hybrid",
});
const agent = await createAgent({
  model: policy.model(),
  plugins: [calculator(), memoryBank(), learner],
  log,
  seed: 1,
});
agent.events.on("policy-promotion", ({ version, parent }) => console.log(`${parent} → ${version} serves`));

const users = createSimulatedUsers(loadHomework(), { seed: 1 });
const hold = async ({ opening, sessionId, userId, react }) => {
  for (let said = { text: opening, leaves: false }; ; ) {
    const { answer } = await agent.stream({ prompt: said.text, sessionId, userId }).result();
    if (said.leaves) return agent.closeSession(sessionId, "call");
    said = react(answer);
  }
};
for (let wave = 0; wave < 4; wave++) {
  await Promise.all(Array.from({ length: 12 }, () => hold(users.session())));
  await learner.settled();
}
console.log(learner.report());
await agent.close();
await trainer.dispose();
policy.dispose();
