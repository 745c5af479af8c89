import type {
  ActionKind,
  LanguageModel,
  Message,
  NextState,
  Signal,
  StepRef,
  TokenRecord,
  ToolDefinition,
} from "@afterstate/core";
import type { Objective } from "./objectives/objective.js";

/** One named array of a policy's weights or of its optimizer's state. */
export interface WeightArray {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}
/** Weights by Hugging Face name, e.g. `model.layers.0.self_attn.q_proj.weight` [out, in]. */
export type PolicyWeights = ReadonlyMap<string, WeightArray>;

/** Serves policy versions on one tensor backend. Requests finish on the version they started on. */
export interface PolicyRuntime {
  /** tensorflow, webgpu, wasm or cpu, with what it runs on. */
  readonly backend: string;
  /** The version that new requests take. */
  readonly serving: string;
  /** The versions that can be asked for. */
  readonly versions: readonly string[];
  /** Makes a version's weights available under its id. @throws AgentError `checkpoint/mismatch` when they do not fit the architecture. */
  load(version: string, weights: PolicyWeights): void;
  /** New requests take this version from now on. @throws AgentError `policy/unknown-version`. */
  serve(version: string): void;
  /** Frees a version once its running requests have ended. The serving version cannot be unloaded. */
  unload(version: string): void;
  weights(version: string): PolicyWeights;
  /**
   * A model that follows `serving`, or stays on one version when it is given. In the background it gives way to requests that somebody waits for: for
   * measuring a version while another one serves.
   */
  model(version?: string, options?: { readonly background?: boolean }): LanguageModel;
  /** What a token writes: its UTF-8 bytes, which need not be whole characters. Empty for one that ends a response. */
  tokenBytes(id: number): Uint8Array;
  /** The prompt ids of a request, as sampling would see them. */
  encodePrompt(messages: readonly Message[], tools: readonly ToolDefinition[]): readonly number[];
  dispose(): void;
}

/** A finished step as the learner reads it off the event log, before credit. */
export interface LearnedStep {
  readonly of: StepRef;
  readonly kind: ActionKind;
  readonly policyVersion: string;
  /** The whole context that the policy saw, but for the guidance. */
  readonly messages: readonly Message[];
  /** Learned text that the policy saw besides: see `withGuidance`. */
  readonly guidance?: string;
  /** What it could call, where that was not up to the agent. */
  readonly tools?: readonly ToolDefinition[];
  /** The assistant's text, or its tool calls as text. */
  readonly response: string;
  readonly tokens?: TokenRecord;
  readonly nextStates: readonly NextState[];
  readonly signals: readonly Signal[];
}

/** An episode whose last step has got its next state. */
export interface LearnedEpisode {
  readonly episodeId: string;
  readonly sessionId: string;
  readonly userId?: string;
  /** Log offset of its episode-start. */
  readonly offset: number;
  readonly steps: readonly LearnedStep[];
}

/** What the trainer trains on: one step with its credit. */
export interface TrainingSample {
  readonly of: StepRef;
  readonly policyVersion: string;
  readonly tokens: TokenRecord;
  /** Â_t of each response token; 0 where the mask is 0. [tokens] */
  readonly advantages: readonly number[];
  /** The prompt with the hindsight hint in it, when there is one: what the teacher sees. */
  readonly teacherPromptIds?: readonly number[];
}

/**
 * How the learning rate goes over the optimizer's steps. Its position is the optimizer's own `step`, so that a training that is resumed
 * goes on where it was: see `scheduledShare`.
 */
export type LearningRateSchedule =
  | { readonly shape: "constant"; readonly warmupSteps: number }
  | {
      readonly shape: "linear" | "cosine";
      /** Steps over which the rate rises to its full size; 0 for none. */
      readonly warmupSteps: number;
      /** From this step on the rate is at its lowest. */
      readonly totalSteps: number;
      /** The lowest rate as a share of the full one, 0–1. */
      readonly finalShare: number;
    };

/** Numbers of one update. Names are those of the papers. */
export interface UpdateOptions {
  readonly learningRate: number;
  /** Default: constant, without warm-up. */
  readonly schedule?: LearningRateSchedule;
  /** λ of AdamW, on matrices alone. Default 0, so that what is not touched stays. */
  readonly weightDecay?: number;
  /**
   * `fixed` takes `learningRate` as it is. `noise-scale` shrinks it to what the batch is worth: the share of the gradient's power
   * on which two halves of the batch agree (arXiv:1812.06162, Eq. 2.7), so that noise alone moves nothing.
   */
  readonly stepSize: "fixed" | "noise-scale";
  readonly epochs: number;
  readonly clipLow: number;
  readonly clipHigh: number;
  /** What is minimised on rewards in place of PPO-clip over `lossDenominator`; clipLow and clipHigh are not its own. */
  readonly objective?: Objective;
  /** Weight of KL(π_θ ‖ π_reference). */
  readonly klCoefficient: number;
  /** Weight of hindsight distillation: of Σ_v π(v) Δ_t(v), Δ_t = log π_teacher − log π, at the tokens of hinted steps. 0 switches it off. */
  readonly distillationWeight: number;
  /** |Δ_t| is clipped to it. */
  readonly distillationClip: number;
  /** Global gradient norm is clipped to it. */
  readonly gradientClip: number;
  /** Loss = Σ over tokens ÷ this constant (an explicit denominator: see algorithms of aggregation). */
  readonly lossDenominator: number;
}

/** One update, a function of its arguments alone. */
export interface UpdateRequest {
  readonly weights: PolicyWeights;
  /** Adam's moments under `<weight>.exp_avg` and `<weight>.exp_avg_sq`, and `step`. Absent at the first update. */
  readonly optimizer?: PolicyWeights;
  /** The frozen policy of the KL term. */
  readonly reference: PolicyWeights;
  readonly samples: readonly TrainingSample[];
  readonly options: UpdateOptions;
}

/** What an update made. */
export interface UpdateResult {
  readonly weights: PolicyWeights;
  readonly optimizer: PolicyWeights;
  /** loss, policyLoss, kl, entropy, clipFraction, importanceRatioMax, gradientNorm, teacherDelta, tokens, seconds. */
  readonly metrics: Readonly<Record<string, number>>;
}

/** Trains a policy off the serving path. */
export interface PolicyTrainer {
  readonly backend: string;
  /** @throws AgentError `learner/non-finite-loss`: nothing has changed then. */
  update(request: UpdateRequest): Promise<UpdateResult>;
  dispose(): Promise<void>;
}

/** What a judge sees. */
export interface JudgeRequest {
  readonly messages: readonly Message[];
  readonly response: string;
  readonly nextState: NextState;
}

/** Scores one step: −1, 0 or +1 by m votes. A tie or no valid vote abstains: `value` undefined. */
export interface Verdict {
  readonly value: -1 | 0 | 1 | undefined;
  readonly votes: readonly number[];
}

/** Judges a step from request, response and next state. Must not throw; a failure abstains. */
export interface StepJudge {
  readonly name: string;
  /** Share of right verdicts on labelled steps, 0–1. */
  readonly reliability: number;
  judge(request: JudgeRequest): Promise<Verdict>;
}

/** Reads advice off a next state. Must not throw; undefined when there is none. */
export interface HintReader {
  readonly name: string;
  /** Share of labelled replies on which it read the right hint, or rightly none, 0–1. */
  readonly reliability: number;
  read(request: JudgeRequest): Promise<string | undefined>;
}
