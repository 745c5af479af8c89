import {
  AgentError,
  type LanguageModel,
  type Message,
  type SamplingSettings,
  type StepRef,
  type TokenRecord,
} from "@afterstate/core";
import type { CreditedTrajectory, TrajectoryStep } from "../credit/credited-trajectory.js";
import { valuesOfTokens } from "../credit/token-spans.js";
import type { RolloutObservation, RolloutTask } from "../environments/rollout-environment.js";

/** A step that was sampled in an environment. */
export interface RolloutStep extends TrajectoryStep {
  readonly of: StepRef;
  readonly messages: readonly Message[];
  readonly text: string;
  readonly tokens: TokenRecord;
  readonly policyVersion: string;
}

/** A whole attempt at a task. */
export interface RolledTrajectory extends CreditedTrajectory {
  readonly steps: readonly RolloutStep[];
  /** Σ of the environment's own rewards: without verdicts and without shaping. */
  readonly outcome: number;
  /** Whether someone else acted, to learn from beside the policy's own attempts. */
  readonly demonstration?: boolean;
}

/** What was done in one step. */
export interface SampledAction {
  readonly text: string;
  readonly tokens: TokenRecord;
  readonly policyVersion: string;
}

/** Acts on what is observed. @param stepIndex of the step in its episode. */
export type Act = (observation: RolloutObservation, stepIndex: number) => SampledAction | Promise<SampledAction>;

/** How an attempt is recorded. */
export interface RollOutOptions {
  /** What a judge's verdict on a step adds to its reward; 0 leaves judges out. Default 1. */
  readonly verdictWeight?: number;
  /** The text of ids, to find the tokens of what environments say of texts. Absent: none are told apart. */
  readonly decode?: (ids: readonly number[]) => string;
  /** log π(gold ∣ h), the right answer's log-probability given what is observed, in nats, for credit by information gain. */
  readonly goldLogProb?: (task: RolloutTask, messages: readonly Message[]) => number | Promise<number>;
}

/**
 * One attempt, until the environment ends or cuts it.
 *
 *   r_k = environment's reward + w · verdict
 */
export async function rollOut(
  task: RolloutTask,
  id: string,
  act: Act,
  { verdictWeight = 1, decode, goldLogProb }: RollOutOptions = {},
): Promise<RolledTrajectory> {
  const episode = task.open();
  const steps: RolloutStep[] = [];
  let [observation, outcome] = [episode.observation, 0];
  const prior = await goldLogProb?.(task, observation.messages);
  for (;;) {
    const action = await act(observation, steps.length);
    const { verdict, reward, kind, hierarchy, factuality, ...next } = await episode.step(action.text);
    outcome += reward;
    const { ids, mask } = action.tokens;
    const gold = await goldLogProb?.(task, next.observation.messages);
    steps.push({
      ...action,
      of: { episodeId: id, stepIndex: steps.length },
      messages: observation.messages,
      anchor: observation.anchor,
      stateKey: observation.stateKey,
      kind,
      reward: reward + (verdict === undefined ? 0 : verdictWeight * verdict),
      mask,
      ...(gold !== undefined && { goldLogProb: gold }),
      ...(factuality !== undefined && decode && { factuality: valuesOfTokens(ids, decode, factuality, 0) }),
      ...(hierarchy !== undefined && {
        switched: hierarchy.switched,
        ...(hierarchy.subgoal !== undefined && { subgoal: hierarchy.subgoal }),
        ...(decode !== undefined && { roles: valuesOfTokens(ids, decode, hierarchy.spans, "other") }),
      }),
    });
    const { terminated, truncated, omitted } = next;
    if (terminated || truncated)
      return {
        id,
        task: task.id,
        steps,
        terminated,
        outcome,
        ...(prior !== undefined && { priorLogProb: prior }),
        ...(omitted !== undefined && { omitted }),
      };
    observation = next.observation;
  }
}

/**
 * Acts with a policy.
 *
 * @param seedOf of each step, so that the same seed is the same attempt.
 * @throws AgentError `rollout/no-tokens` for a model that keeps no token record: nothing could be trained on it.
 */
export function actWith(
  model: LanguageModel,
  seedOf: (stepIndex: number) => number,
  settings: SamplingSettings,
  signal: AbortSignal,
): Act {
  return async ({ messages }, stepIndex) => {
    const request = { ...settings, messages, tools: [], seed: seedOf(stepIndex) };
    const { message, tokens, policyVersion } = await model.generate(request, { signal }).response();
    if (tokens === undefined)
      throw new AgentError(
        "rollout/no-tokens",
        `model "${model.name}" keeps no token record, so nothing can be trained on its rollouts; use a local policy`,
      );
    return { text: message.content, tokens, policyVersion };
  };
}

/** Acts as someone else did, text by text: a demonstration. @throws AgentError `rollout/bad-demonstration` when there are too few texts. */
export function actAs(
  texts: readonly string[],
  encode: (messages: readonly Message[], text: string) => Pick<TokenRecord, "promptIds" | "ids">,
): Act {
  return ({ messages }, stepIndex) => {
    const text = texts[stepIndex];
    if (text === undefined)
      throw new AgentError(
        "rollout/bad-demonstration",
        `a demonstration of ${texts.length} steps did not end its task; give it all steps up to the end`,
      );
    const { promptIds, ids } = encode(messages, text);
    // Nobody knows how likely its author was to say it: RL-PLUS assumes something, and no other objective may take it.
    const tokens = { promptIds, ids, logProbs: ids.map(() => 0), mask: ids.map(() => 1), temperature: 1 };
    return { text, tokens, policyVersion: "demonstration" };
  };
}
