// An agent on the policy that ships with Afterstate, with an exact calculator. Offline, no key.
import { createAgent } from "@afterstate/core";
import { EMBEDDED_POLICY, openPolicy, readPolicyFolder } from "@afterstate/learner";
import { calculator } from "@afterstate/plugins-tools";

const policy = await openPolicy(readPolicyFolder(EMBEDDED_POLICY));
const agent = await createAgent({ model: policy.model(), plugins: [calculator()], seed: 1 });

const run = agent.stream({ prompt: "What is 3^17 mod 41? Use the calculator, please." });
for await (const event of run) {
  if (event.type === "tool-call") console.log("call  ", event.call.name, event.call.input);
  if (event.type === "tool-result") console.log("result", event.result.content);
}
const { answer, stopReason, steps } = await run.result();
console.log("answer", answer);
console.log(`${stopReason} after ${steps.length} steps on ${policy.backend}`);

await agent.close();
policy.dispose();
