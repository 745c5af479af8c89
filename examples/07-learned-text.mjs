// Two users want their answers put differently: what each of them says once is said to the model in their sessions from then on.
import { createAgent, memoryEventLog } from "@afterstate/core";
import * as learning from "@afterstate/learner";
import { calculator } from "@afterstate/plugins-tools";

const policy = await learning.openPolicy(learning.readPolicyFolder(learning.EMBEDDED_POLICY));
const log = memoryEventLog();
const text = learning.learnedText({ log });
// With an online learner, give it `attribution: text`, and leave the reader out: it reads the signals itself.
const reader = learning.signalReader({
  log,
  judge: learning.ruleJudge(),
  hintReader: learning.ruleHintReader(),
  attribution: text,
});
const agent = await createAgent({ model: policy.model(), plugins: [calculator(), text, reader], log, seed: 1 });

const wishes = {
  ann: "Just the number, please. Use the calculator.",
  ben: "Please answer in a full sentence. Use the calculator.",
};
for (const day of ["monday", "tuesday"]) {
  for (const [userId, wish] of Object.entries(wishes)) {
    const session = { sessionId: `${userId}-${day}`, userId };
    const { answer, steps } = await agent.stream({ ...session, prompt: "What is 3^17 mod 41?" }).result();
    console.log(`${day} ${userId}: ${answer}`);
    const told = steps[0].observation.guidance;
    if (told) console.log(`  because the model was told: ${told}`);
    if (day === "monday") await agent.stream({ ...session, prompt: wish }).result();
    await agent.closeSession(session.sessionId, "call");
    await reader.settled();
    await text.settled();
  }
}
console.log(text.report());
await text.unlearn("ann");
console.log(`without ann there are ${text.state.texts.length} texts`);
await agent.close();
policy.dispose();
