// Monte-Carlo tree search before acting: the planner recognises a number game, searches it, and the policy sees the plan.
import { createAgent } from "@afterstate/core";
import { scriptedModel } from "@afterstate/core/testing";
import { mctsPlanner, numberGame } from "@afterstate/plugins-planning";

// A model that says what it was told to plan; a real one writes its answer from the plan in its context.
const model = scriptedModel([
  ({ messages }) => messages.findLast(({ content }) => content.startsWith("Plan: "))?.content ?? "I have no plan.",
]);
const agent = await createAgent({ model, plugins: [mctsPlanner({ domains: [numberGame()] })], seed: 3 });
let expansions = 0;
agent.events.on("plan-expand", () => {
  expansions += 1;
});
agent.events.on("plan-end", ({ plan }) => console.log(`searched ${expansions} nodes:`, plan?.steps));

console.log((await agent.stream({ prompt: "Make 24 from 4 7 8 8." }).result()).answer);
await agent.close();
