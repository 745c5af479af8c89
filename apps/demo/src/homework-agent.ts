import { type Agent, createAgent, type EventLog, type LanguageModel, type Plugin } from "@afterstate/core";
import { memoryBank } from "@afterstate/plugins-memory";
import { mctsPlanner, numberGame } from "@afterstate/plugins-planning";
import { calculator } from "@afterstate/plugins-tools";

/** What differs between the agents of the demo. */
export interface HomeworkAgentOptions {
  readonly model: LanguageModel;
  readonly seed: number;
  readonly log?: EventLog;
  /** Where the memory bank is kept. Default: in memory. */
  readonly memoryPath?: string;
  /** The learner, where there is one. */
  readonly learner?: Plugin;
}

/** As long as the conversations that the embedded policy knows: a few exchanges. */
const MAX_CONTEXT_TOKENS = 90;

/** An agent that does homework: a calculator, a memory of its users, and a planner for the number game. */
export function createHomeworkAgent({ model, seed, log, memoryPath, learner }: HomeworkAgentOptions): Promise<Agent> {
  return createAgent({
    model,
    seed,
    maxContextTokens: MAX_CONTEXT_TOKENS,
    budget: { maxSteps: 4 },
    plugins: [
      calculator(),
      memoryBank(memoryPath === undefined ? {} : { path: memoryPath }),
      mctsPlanner({ domains: [numberGame()] }),
      ...(learner === undefined ? [] : [learner]),
    ],
    ...(log === undefined ? {} : { log }),
  });
}
