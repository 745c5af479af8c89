// What a user says about themselves is written to memory within the loop, and recalled in a later session of that user only.
import { createAgent } from "@afterstate/core";
import { EMBEDDED_POLICY, openPolicy, readPolicyFolder } from "@afterstate/learner";
import { memoryBank } from "@afterstate/plugins-memory";

const policy = await openPolicy(readPolicyFolder(EMBEDDED_POLICY));
const agent = await createAgent({ model: policy.model(), plugins: [memoryBank()], seed: 1 });
agent.events.on("memory-write", ({ operations }) => {
  for (const { kind, record } of operations) console.log("memory", kind, record?.text ?? "");
});

const ask = async (userId, sessionId, prompt) => {
  const { answer } = await agent.stream({ prompt, userId, sessionId }).result();
  console.log(`${userId}: ${prompt}\nagent: ${answer}`);
};
await ask("tess", "monday", "My name is Tess.");
await ask("tess", "tuesday", "What is my name?");

await agent.close();
policy.dispose();
