import { type EventLog, memoryEventLog, type StepRef } from "@afterstate/core";
import type { OnlineLearner, OnlineLearnerOptions } from "../online/learner-options.js";
import { onlineLearner } from "../online/online-learner.js";
import { ruleHintReader } from "../signals/rule-hint-reader.js";
import { ruleJudge } from "../signals/rule-judge.js";
import { type FakePolicy, type FakeTrainer, fakePolicy, fakeTrainer } from "./fake-policy.js";
import { type LoggedAgent, loggedAgent } from "./logged-agent.js";

/** A learner without a model, on the log of a written agent. */
export interface FakeLearner {
  readonly learner: OnlineLearner;
  readonly policy: FakePolicy;
  readonly trainer: FakeTrainer;
  readonly agent: LoggedAgent;
  readonly log: EventLog;
  /** One question of a user, answered at once; the prompt is what comes after the session's last answer. */
  ask(sessionId: string, prompt: string, userId?: string): Promise<string>;
}

/** Where a sample counts in the weights: the place of its session, a at 0, b at 1 and so on. */
export const placeOf = ({ of }: { readonly of: StepRef }): number => of.episodeId.charCodeAt(0) - "a".charCodeAt(0);

/** Starts one. */
export async function fakeLearner(changes: Partial<OnlineLearnerOptions> = {}, of?: LoggedAgent): Promise<FakeLearner> {
  const log = changes.log ?? memoryEventLog();
  const agent = of ?? loggedAgent(log);
  const policy = fakePolicy(26);
  const trainer = fakeTrainer(placeOf);
  const learner = onlineLearner({
    ...{ policy, trainer, log, judge: ruleJudge(), hintReader: ruleHintReader(), mode: "live", signals: "hybrid" },
    ...{ batchEpisodes: 1, maxStaleness: 99, clock: { now: () => 7 } },
    ...changes,
  });
  await learner.setup?.(agent.context);
  return {
    ...{ learner, policy, trainer, agent, log },
    ask: (sessionId, prompt, userId) =>
      agent.run({
        ...{ sessionId, prompt, policyVersion: policy.serving, steps: [{ text: "It is 24." }] },
        ...(userId !== undefined && { userId }),
      }),
  };
}

/** How often each of the first sessions of a fake policy's version was trained on, [sessions]. */
export function countsOf(policy: FakePolicy, sessions: number): readonly number[] {
  return [...policy.weights(policy.serving).get("w")!.data.slice(0, sessions)];
}
