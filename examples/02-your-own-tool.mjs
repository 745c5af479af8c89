// A plugin of your own: plain data with a tool, a hook that decides, and a listener that only watches.
// The model is scripted, so that this runs anywhere; openaiModel({ model, baseURL }) takes its place in earnest.
import { createAgent, defineTool } from "@afterstate/core";
import { scriptedModel } from "@afterstate/core/testing";
import { z } from "zod";

const stock = new Map([["lamp", 3]]);

const inventory = {
  name: "inventory",
  tools: {
    count: defineTool({
      description: "How many pieces of an article are in stock.",
      input: z.object({ article: z.string() }),
      execute({ article }) {
        const pieces = stock.get(article);
        if (pieces === undefined) throw new Error(`there is no article "${article}"`);
        return pieces;
      },
    }),
  },
  hooks: {
    beforeToolCall: ({ call }) =>
      call.input.article === "safe" ? { kind: "block", reason: "safes are not to be counted" } : undefined,
  },
};

const model = scriptedModel([
  { toolCalls: ["lamp", "chair", "safe"].map((article) => ({ name: "count", input: { article } })) },
  "There are 3 lamps, no chairs that I know of, and I may not count safes.",
]);
const agent = await createAgent({ model, plugins: [inventory] });
agent.events.on("tool-result", ({ result }) =>
  console.log(result.isError ? result.errorCode : "counted", "·", result.content),
);

console.log((await agent.stream({ prompt: "How many lamps, chairs and safes?" }).result()).answer);
await agent.close();
