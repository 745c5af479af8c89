import { join } from "node:path";
import { type Agent, type EventLog, memoryEventLog, openEventLog } from "@afterstate/core";
import {
  type OnlineLearner,
  onlineLearner,
  openPolicy,
  openVersionStore,
  type PolicyFiles,
  type PolicyRuntime,
  type PolicyTrainer,
  ruleHintReader,
  ruleJudge,
} from "@afterstate/learner";
import type { Question, Style } from "@afterstate/learner/homework";
import { createHomeworkAgent } from "./homework-agent.js";
import { measure } from "./measure.js";
import type { Arm, LearnerMode, Progress } from "./progress.js";

/** A policy that serves an agent, and the learner that improves it. */
export interface LearningArm {
  readonly policy: PolicyRuntime;
  readonly agent: Agent;
  readonly log: EventLog;
  /** Absent when learning is off. */
  readonly learner?: OnlineLearner;
  close(): Promise<void>;
}

/** What an arm is opened with. */
export interface ArmOptions {
  readonly arm: Arm;
  readonly files: PolicyFiles;
  readonly trainer?: PolicyTrainer;
  readonly mode: LearnerMode;
  readonly control: boolean;
  readonly seed: number;
  /** Where events, versions and memories are kept. Absent: nowhere. */
  readonly folder?: string;
  /** Questions that a candidate must not get worse at. None of them is measured in the end. */
  readonly gateQuestions: readonly Question[];
  readonly preference: Style;
  readonly report: (progress: Progress) => void;
}

/** Episodes of an update. */
const BATCH_EPISODES = 24;

/** Opens an arm. What its folder holds is gone on from. */
export async function openArm(options: ArmOptions): Promise<LearningArm> {
  const { files, trainer, mode, control, seed, folder } = options;
  const policy = await openPolicy(files, { maxBatch: 128 });
  const log = folder === undefined ? memoryEventLog() : await openEventLog(join(folder, "events"));
  const store = folder === undefined ? undefined : await openVersionStore(join(folder, "policies"));
  const learner =
    mode === "off" || trainer === undefined
      ? undefined
      : onlineLearner({
          policy,
          trainer,
          log,
          judge: ruleJudge(),
          hintReader: ruleHintReader(),
          mode: "live",
          signals: mode,
          seed,
          batchEpisodes: BATCH_EPISODES,
          credit: { decay: 0.97 },
          gate: { evaluate: (version) => gateScores(options, policy, version) },
          ...(control && { control: "shuffled-votes" as const }),
          ...(store !== undefined && { store }),
        });
  const agent = await createHomeworkAgent({
    model: policy.model(),
    seed,
    log,
    ...(learner !== undefined && { learner }),
    ...(folder !== undefined && { memoryPath: join(folder, "memory", "bank.jsonl") }),
  });
  tellUpdates(agent, options);
  return {
    policy,
    agent,
    log,
    ...(learner !== undefined && { learner }),
    async close() {
      await agent.close();
      await log.close();
      policy.dispose();
    },
  };
}

async function gateScores({ gateQuestions, preference }: ArmOptions, policy: PolicyRuntime, version: string) {
  return (await measure({ policy, version, questions: gateQuestions, preference, seed: 0 })).success;
}

/** Tells of an agent's updates, rollbacks and errors. */
export function tellUpdates(agent: Agent, { arm, report }: Pick<ArmOptions, "arm" | "report">): void {
  let updates = 0;
  agent.events.on("policy-update", ({ candidate, samples, metrics }) => {
    const promoted = metrics.gateAccepted === 1;
    const reason = promoted ? {} : { reason: "the gate held it back" };
    report({ type: "update", arm, index: ++updates, candidate, promoted, ...reason, samples, metrics });
  });
  agent.events.on("policy-rollback", ({ from, to, reason }) => report({ type: "rollback", arm, from, to, reason }));
  agent.events.on("error", ({ message }) => report({ type: "trouble", text: message }));
}
