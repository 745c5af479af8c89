import { type ActionStrategy, reactStrategy } from "./action-strategy.js";
import type { AgentOptions, Budget } from "./agent.js";
import { type Clock, systemClock } from "./clock.js";
import type { Decider, Decision } from "./decision.js";
import type { Guidance } from "./guidance.js";
import type { AgentHooks } from "./hooks.js";
import { decisionsOf } from "./make-decisions.js";
import type { Memory } from "./memory.js";
import { type LanguageModel, type SamplingSettings, samplingSettings } from "./model.js";
import type { Planner } from "./planner.js";
import type { PluginHost } from "./plugin-host.js";
import { ACTION_STRATEGY, DECIDER, GUIDANCE, MEMORY, PLANNER } from "./service.js";
import { type ToolSet, toolSet } from "./tool-set.js";

/** What every run of an agent shares. */
export interface LoopParts {
  readonly model: LanguageModel;
  readonly instructions?: string;
  readonly tools: ToolSet;
  readonly hooks: {
    readonly beforeModel: readonly NonNullable<AgentHooks["beforeModel"]>[];
    readonly beforeToolCall: readonly NonNullable<AgentHooks["beforeToolCall"]>[];
    readonly afterToolResult: readonly NonNullable<AgentHooks["afterToolResult"]>[];
  };
  readonly strategy: ActionStrategy;
  readonly memory?: Memory;
  readonly planner?: Planner;
  readonly guidance?: Guidance;
  readonly decisions: readonly Decision[];
  readonly decider?: Decider;
  readonly clock: Clock;
  readonly budget: Budget;
  readonly sampling: SamplingSettings;
  readonly maxContextTokens?: number;
}

/** Puts the parts together. @throws AgentError when a tool or a decision of a plugin is at fault. */
export function loopParts(options: AgentOptions, host: PluginHost): LoopParts {
  const { model, instructions, clock = systemClock, budget = {}, maxContextTokens } = options;
  const memory = host.find(MEMORY);
  const planner = host.find(PLANNER);
  const guidance = host.find(GUIDANCE);
  const decider = host.find(DECIDER);
  const hooks = host.plugins.flatMap((plugin) => (plugin.hooks ? [plugin.hooks] : []));
  return {
    model,
    tools: toolSet(host.plugins),
    hooks: {
      beforeModel: hooks.flatMap((one) => one.beforeModel?.bind(one) ?? []),
      beforeToolCall: hooks.flatMap((one) => one.beforeToolCall?.bind(one) ?? []),
      afterToolResult: hooks.flatMap((one) => one.afterToolResult?.bind(one) ?? []),
    },
    strategy: host.find(ACTION_STRATEGY) ?? reactStrategy,
    clock,
    budget,
    ...(instructions !== undefined && { instructions }),
    ...(memory && { memory }),
    ...(planner && { planner }),
    ...(guidance && { guidance }),
    decisions: decisionsOf(host.plugins),
    ...(decider && { decider }),
    sampling: samplingSettings(options),
    ...(maxContextTokens !== undefined && { maxContextTokens }),
  };
}
