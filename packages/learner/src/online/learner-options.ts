import type { Clock, EventLog, Message, Plugin, StepRef, ToolDefinition } from "@afterstate/core";
import type { CreditOptions } from "../credit/credited-trajectory.js";
import type { Alarm } from "../safety/alarm.js";
import type { CanaryRule } from "../safety/canary.js";
import type { DriftLimits } from "../safety/drift-watch.js";
import type { FeedbackRule } from "../safety/feedback-guard.js";
import type { Lift } from "../safety/lift.js";
import type { UpdateSchedule } from "../safety/update-schedule.js";
import type { CostSignal } from "../signals/cost-signal.js";
import type { HintAcceptance } from "../signals/hint-acceptance.js";
import type { ProcessRewardHead } from "../signals/process-reward-head.js";
import type {
  CorrectionAttribution,
  HintReader,
  PolicyRuntime,
  PolicyTrainer,
  StepJudge,
  UpdateOptions,
  Verifier,
} from "../types.js";
import type { LearningSignals } from "../versions/batch-record.js";
import type { GateLimits } from "../versions/gate.js";
import type { LearnerCounts } from "../versions/version-manifest.js";
import type { VersionStore } from "../versions/version-store.js";
import type { Replay, StepExplanation } from "./learner-answers.js";
import type { RollbackRule } from "./reward-watch.js";

/** What an online learner is made of. */
export interface OnlineLearnerOptions {
  readonly policy: PolicyRuntime;
  readonly trainer: PolicyTrainer;
  /** The log that the agent writes. Read only; signals and policy events go through the agent. */
  readonly log: EventLog;
  readonly judge: StepJudge;
  /** Check steps without a model; what they say overrides the judge. */
  readonly verifiers?: readonly Verifier[];
  /** Takes what a step cost off its credit. Default: cost does not count. */
  readonly cost?: CostSignal;
  /**
   * Judges the steps that nobody said anything about, once it has proved that it can. It learns from the outcomes of the episodes that are
   * consumed, and its state is part of what a commit makes certain: a learner with a store goes on with it after a restart. When a user is
   * unlearned it learns again without them; what it guessed of others before stays in the log as it was.
   */
  readonly head?: ProcessRewardHead;
  /** Without any only corrections given as explicit feedback are hints. */
  readonly hintReader?: HintReader | readonly HintReader[];
  /** Which hints teach. Default: all. */
  readonly hintAcceptance?: HintAcceptance;
  /** What of corrections the weights are to absorb, as `learnedText()` says it, and no guidance. Without it: all, and the guidance too. */
  readonly attribution?: CorrectionAttribution;
  /** Where versions are kept. Without it they live as long as the process, and learning starts with what the log gains from then on. */
  readonly store?: VersionStore;
  /** Scores 0–1 of a version on held-out episodes, always the same ones in the same order. */
  readonly gate?: {
    evaluate(version: string): Promise<readonly number[]>;
    /** Places of the episodes that test one skill, by its name: a candidate that gets worse at any of them is refused. */
    readonly suites?: Readonly<Record<string, readonly number[]>>;
  };
  /** off: nothing at all. shadow: trains and gates candidates of the serving version, and serves none. live: serves those that pass. */
  readonly mode: "off" | "shadow" | "live";
  readonly signals: LearningSignals;
  /** Default: {@link DEFAULT_UPDATE}. */
  readonly update?: Partial<UpdateOptions>;
  /** Episodes with something to learn that make an update. Default 16. */
  readonly batchEpisodes?: number;
  /**
   * So many of the last consumed episodes are taught again with each batch, and what users asked for stands: the teacher hears it at every
   * one of them, until somebody asks for the opposite. Their rewards are not used again. They are kept in memory: after a start there are
   * none. Default 0: a hint is for its own episode alone.
   */
  readonly replayEpisodes?: number;
  /** Default: step GAE, γ 1, λ .95. Credits that compare trajectories compare episodes of the batch that began alike. */
  readonly credit?: Partial<CreditOptions>;
  readonly limits?: Partial<GateLimits>;
  /** Samples of a version further behind the serving one are dropped and counted. Default 4. */
  readonly maxStaleness?: number;
  /** Default: 32 episodes each, 2.58 standard errors. */
  readonly rollback?: RollbackRule;
  /**
   * Share of sessions that always get the base policy and are never trained on, so that `report().lift` can tell what learning is worth.
   * Default 0.
   */
  readonly holdoutShare?: number;
  /**
   * Tries a candidate that passed the gate on a share of the sessions before all get it. Meanwhile no further update is made: episodes
   * wait, and none is lost. Absent: the gate decides alone.
   */
  readonly canary?: CanaryRule;
  /**
   * Bounds every update to `maxKl` nats a token of KL(π_new ‖ π_old), at what the base answers to `contexts`: whatever an update was
   * trained on moves the policy by no more. Absent: the optimizer's step as it is.
   */
  readonly trustRegion?: { readonly contexts: readonly (readonly Message[])[]; readonly maxKl: number };
  /** What is believed of what users say; "trusted": everything. Default: {@link FEEDBACK_RULE}. */
  readonly feedback?: Partial<FeedbackRule> | "trusted";
  /** From where on drift is an alarm. Default: {@link DRIFT_LIMITS}. */
  readonly drift?: Partial<DriftLimits>;
  /** When updates may run. Judging is not kept from anything. Absent: at once. */
  readonly schedule?: UpdateSchedule;
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

/**
 * What the embedded policy learns a preference with in some ten sessions: an update for every episode, which one alone could not bear.
 * Steps are of one size, and the reference is the teacher because a policy that teaches itself what stands drifts with its own ear.
 */
export const FEW_SAMPLES = {
  batchEpisodes: 1,
  replayEpisodes: 16,
  update: { learningRate: 3e-4, stepSize: "fixed", teacher: "reference" },
} as const satisfies Partial<OnlineLearnerOptions>;

/** Where a learner stands. */
export interface LearnerReport extends LearnerCounts {
  /** The serving version. */
  readonly version: string;
  /** Of the serving version's episodes that said anything; 0 before the first. */
  readonly meanReward: number;
  /** Episodes with something to learn that wait for the next update. */
  readonly pending: number;
  /** What learning is worth, by the sessions that are held out. */
  readonly lift: Lift;
  /** The candidate on trial. */
  readonly canary?: string;
  /** The latest alarms, oldest first. */
  readonly alarms: readonly Alarm[];
  /** Users who are not learned from, and why, until {@link OnlineLearner.releaseUser}. */
  readonly quarantined: Readonly<Record<string, string>>;
}

/** A plugin that learns while the agent serves. */
export interface OnlineLearner extends Plugin {
  /** Resolves once everything that has happened so far is judged, and trained on where it fills a batch; while paused, at once. */
  settled(): Promise<void>;
  /**
   * Starts nothing until {@link OnlineLearner.resume}: what happens meanwhile stays in the log. An update that runs is held between two
   * of its passes where the trainer can be held, and finished otherwise; it comes out the same to the bit.
   */
  pause(): void;
  /**
   * Goes on with everything that happened meanwhile, in the order of sessions. A simulation that pauses the learner while sessions run
   * side by side is the same run each time, whichever of them ends first.
   */
  resume(): void;
  /** Serves another version from now on. @throws AgentError `policy/unknown-version`, `checkpoint/corrupt`. */
  rollback(version: string): Promise<void>;
  /**
   * Makes the policy as if a user had never been there: learning is done again from the base, over the log without the sessions in which
   * the user took part, while the old version serves; then one of a new line of versions serves, and those of the old line, with all
   * that was known of their rewards and credit, are gone. The wish is kept in the log: later sessions of the user are not learned from.
   * What the user said stays in the log, too, until `eraseSessions` takes it out.
   *
   * @throws AgentError `learner/no-store` without a store, `learner/off`, `learner/not-started`.
   */
  unlearn(userId: string): Promise<void>;
  /** Lifts the wish to unlearn a user: sessions that begin from now on are learned from. */
  learnFromAgain(userId: string): Promise<void>;
  /**
   * Makes a version again from the log, the base and the records of updates, and compares it bit for bit with what it was; a learner
   * that no agent has as a plugin can do so, too.
   *
   * @throws AgentError `policy/unknown-version`, `learner/no-store`.
   */
  replay(version: string): Promise<Replay>;
  /** What was said about a step, what credit and advice came of it, and which update trained on it, or why none did. */
  explain(of: StepRef): Promise<StepExplanation>;
  /** Whether a session is held out: such a one gets neither learned text nor learned decisions. */
  isHeldOut(sessionId: string): boolean;
  /** Lets what a user in quarantine says from now on be learned from again. */
  releaseUser(userId: string): Promise<void>;
  report(): LearnerReport;
  /** Finishes what is being done, and starts nothing more. */
  stop(): Promise<void>;
}
