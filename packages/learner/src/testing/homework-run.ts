import { join } from "node:path";
import { type AgentEvent, createAgent, type EventLog, openEventLog } from "@afterstate/core";
import { EMBEDDED_POLICY, readPolicyFolder } from "../checkpoints/policy-folder.js";
import { createSimulatedUsers, loadHomework } from "../environments/homework/index.js";
import type { OnlineLearner, OnlineLearnerOptions } from "../online/learner-options.js";
import { onlineLearner } from "../online/online-learner.js";
import { openPolicy } from "../policy/policy-runtime.js";
import { ruleHintReader } from "../signals/rule-hint-reader.js";
import { ruleJudge } from "../signals/rule-judge.js";
import { createTrainer } from "../trainer/trainer.js";
import type { PolicyRuntime } from "../types.js";
import { openVersionStore, type VersionStore } from "../versions/version-store.js";

/** The embedded policy with an agent, a log and a learner over one data folder. */
export interface HomeworkRun {
  readonly log: EventLog;
  readonly store: VersionStore;
  readonly policy: PolicyRuntime;
  readonly learner: OnlineLearner;
  /** Holds sessions with simulated users, one after the other, and waits until they are learned from. */
  hold(sessions: number): Promise<void>;
  close(): Promise<void>;
}

/** Opens one. What its folder holds is gone on from. @param changes of the learner's options. */
export async function homeworkRun(
  folder: string,
  { seed, firstSession = 0, ...changes }: Partial<OnlineLearnerOptions> & { seed: number; firstSession?: number },
): Promise<HomeworkRun> {
  const files = readPolicyFolder(EMBEDDED_POLICY);
  const policy = await openPolicy(files);
  const trainer = await createTrainer(files.config);
  const log = await openEventLog(join(folder, "events"));
  const store = await openVersionStore(join(folder, "policies"));
  const learner = onlineLearner({
    policy,
    trainer,
    log,
    store,
    judge: ruleJudge(),
    hintReader: ruleHintReader(),
    mode: "live",
    signals: "hybrid",
    batchEpisodes: 3,
    maxStaleness: 1000,
    update: { stepSize: "fixed", learningRate: 2e-4 },
    ...changes,
  });
  const agent = await createAgent({ model: policy.model(), seed, log, plugins: [learner], budget: { maxSteps: 2 } });
  const users = createSimulatedUsers(loadHomework(), { seed, firstSession });
  return {
    log,
    store,
    policy,
    learner,
    async hold(sessions) {
      for (let held = 0; held < sessions; held++) {
        const { opening, sessionId, userId, react } = users.session();
        for (let said = { text: opening, leaves: false }; ; ) {
          const { answer } = await agent.stream({ prompt: said.text, sessionId, userId }).result();
          if (said.leaves) break;
          said = react(answer);
        }
        await agent.closeSession(sessionId, "call");
      }
      await learner.settled();
    },
    async close() {
      await agent.close();
      await log.close();
      await trainer.dispose();
      policy.dispose();
    },
  };
}

/** Writes events to the log of a data folder that has none. */
export async function writeLog(folder: string, events: readonly AgentEvent[]): Promise<void> {
  const log = await openEventLog(join(folder, "events"));
  await Promise.all(events.map((event) => log.append(event)));
  await log.close();
}

/** All events of a log. */
export async function eventsIn(log: Pick<EventLog, "read">): Promise<AgentEvent[]> {
  const events: AgentEvent[] = [];
  for await (const { event } of log.read(0)) events.push(event);
  return events;
}
