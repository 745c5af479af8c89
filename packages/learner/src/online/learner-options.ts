import type { Clock, EventLog, Plugin, ToolDefinition } from "@afterstate/core";
import type { CreditOptions } from "../credit/step-credit.js";
import type {
  CorrectionAttribution,
  HintReader,
  PolicyRuntime,
  PolicyTrainer,
  StepJudge,
  UpdateOptions,
} from "../types.js";
import type { GateLimits } from "../versions/gate.js";
import type { LearnerCounts } from "../versions/version-manifest.js";
import type { VersionStore } from "../versions/version-store.js";
import type { LearningSignals } from "./assemble-batch.js";
import type { RollbackRule } from "./reward-watch.js";

/** What an online learner is made of. */
export interface OnlineLearnerOptions {
  readonly policy: PolicyRuntime;
  readonly trainer: PolicyTrainer;
  /** The log that the agent writes. Read only; signals and policy events go through the agent. */
  readonly log: EventLog;
  readonly judge: StepJudge;
  /** Without it only corrections given as explicit feedback are hints. */
  readonly hintReader?: HintReader;
  /** What of corrections the weights are to absorb, as `learnedText()` says it. Without it: all. */
  readonly attribution?: CorrectionAttribution;
  /** Where versions are kept. Without it they live as long as the process, and learning starts with what the log gains from then on. */
  readonly store?: VersionStore;
  /** Scores 0–1 of a version on held-out episodes, always the same ones in the same order. */
  readonly gate?: { evaluate(version: string): Promise<readonly number[]> };
  /** off: nothing at all. shadow: trains and gates candidates of the serving version, and serves none. live: serves those that pass. */
  readonly mode: "off" | "shadow" | "live";
  readonly signals: LearningSignals;
  /** Default: {@link DEFAULT_UPDATE}. */
  readonly update?: Partial<UpdateOptions>;
  /** Episodes with something to learn that make an update. Default 16. */
  readonly batchEpisodes?: number;
  readonly credit?: Partial<CreditOptions>;
  readonly limits?: Partial<GateLimits>;
  /** Samples of a version further behind the serving one are dropped and counted. Default 4. */
  readonly maxStaleness?: number;
  /** Default: 32 episodes each, 2.58 standard errors. */
  readonly rollback?: RollbackRule;
  /** Version folders that are kept beside the serving one. Default 8. */
  readonly keepVersions?: number;
  /** Tools in the prompts that the policy sees. Default: those of the requests that pass by. */
  readonly tools?: readonly ToolDefinition[];
  /** The negative control of learning claims: see `BatchOptions.shuffledVotes`. */
  readonly control?: "shuffled-votes";
  /** Default 0. */
  readonly seed?: number;
  readonly clock?: Clock;
}

/** What the embedded policy learns well with; a larger policy wants a smaller `learningRate`. */
export const DEFAULT_UPDATE: UpdateOptions = {
  learningRate: 2e-3,
  stepSize: "noise-scale",
  epochs: 2,
  clipLow: 0.2,
  clipHigh: 0.2,
  klCoefficient: 0.04,
  distillationWeight: 2,
  distillationClip: 5,
  gradientClip: 1,
  lossDenominator: 400,
};

/** Where a learner stands. */
export interface LearnerReport extends LearnerCounts {
  /** The serving version. */
  readonly version: string;
  /** Of the serving version's episodes that said anything; 0 before the first. */
  readonly meanReward: number;
  /** Episodes with something to learn that wait for the next update. */
  readonly pending: number;
}

/** A plugin that learns while the agent serves. */
export interface OnlineLearner extends Plugin {
  /** Resolves once everything that has happened so far is judged, and trained on where it fills a batch; while paused, at once. */
  settled(): Promise<void>;
  /** Starts nothing until {@link OnlineLearner.resume}: what happens meanwhile stays in the log. An update that runs is finished. */
  pause(): void;
  /**
   * Goes on with everything that happened meanwhile, in the order of sessions. A simulation that pauses the learner while sessions run
   * side by side is the same run each time, whichever of them ends first.
   */
  resume(): void;
  /** Serves another version from now on. @throws AgentError `policy/unknown-version`, `checkpoint/corrupt`. */
  rollback(version: string): Promise<void>;
  report(): LearnerReport;
  /** Finishes what is being done, and starts nothing more. */
  stop(): Promise<void>;
}
