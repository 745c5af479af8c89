import type {
  ActionKind,
  Attribution,
  LanguageModel,
  Message,
  NextState,
  Signal,
  StepCost,
  StepRef,
  TokenRecord,
  ToolDefinition,
} from "@afterstate/core";
import type { Objective } from "./objectives/objective.js";
import type { OffPolicyCorrection } from "./objectives/off-policy.js";

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
  /**
   * How likely a version would have been to give responses: log π of each token at the temperature, in nats. [responses][tokens]
   *
   * @throws AgentError `policy/unknown-version`; `model/context-overflow` when one does not fit the policy's context.
   */
  score(
    version: string,
    responses: readonly Pick<TokenRecord, "promptIds" | "ids" | "temperature">[],
  ): Promise<readonly (readonly number[])[]>;
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
  /** Absent where the log does not tell. */
  readonly cost?: StepCost;
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
  /** What the hint counts, 0–1. Default 1. */
  readonly teacherWeight?: number;
  /** The K tokens that a teacher finds likeliest at each token, with their log-probabilities; the others are as the policy has them. [tokens][K] */
  readonly teacherTopK?: {
    readonly ids: readonly (readonly number[])[];
    readonly logProbs: readonly (readonly number[])[];
  };
  /** Which side of which preference it belongs to, for DPO and IPO: an answer is all samples of one side. */
  readonly pair?: { readonly id: string; readonly chosen: boolean };
  /** Said by someone else than the policy, for RL-PLUS. */
  readonly demonstration?: boolean;
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

/** Whose log-probabilities, given a hint, supervise the policy. */
export type Teacher = "policy" | "reference";

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
  /**
   * Who hears the hint: the policy as it is, or the frozen reference, whose ear does not change while the policy's does. What was learned from
   * rewards alone the reference does not know. Default "policy".
   */
  readonly teacher?: Teacher;
  /** |Δ_t| is clipped to it. */
  readonly distillationClip: number;
  /** Global gradient norm is clipped to it. */
  readonly gradientClip: number;
  /** Loss = Σ over tokens ÷ this constant (an explicit denominator: see algorithms of aggregation). */
  readonly lossDenominator: number;
  /** How samples of other versions are corrected, where there is no `objective`. Default: weights of each token, at most 2. */
  readonly offPolicy?: OffPolicyCorrection;
}

/** How far one update may move the policy, whatever it was trained on. */
export interface TrustRegion {
  /** Responses at whose tokens the movement is measured: always the same ones, of no user. */
  readonly probe: readonly TokenRecord[];
  /** Mean of KL(π_new ‖ π_old) over the vocabulary, at the probe's tokens. In nats a token. */
  readonly maxKl: number;
}

/** One update, a function of its arguments alone. */
export interface UpdateRequest {
  readonly weights: PolicyWeights;
  /** The version that the weights are: samples of another one are corrected. Absent: their age does not count. */
  readonly version?: string;
  /** Adam's moments under `<weight>.exp_avg` and `<weight>.exp_avg_sq`, and `step`. Absent at the first update. */
  readonly optimizer?: PolicyWeights;
  /** The frozen policy of the KL term. */
  readonly reference: PolicyWeights;
  readonly samples: readonly TrainingSample[];
  readonly options: UpdateOptions;
  /** Bounds the step. Absent: the optimizer's own. */
  readonly trustRegion?: TrustRegion;
}

/** What an update made. */
export interface UpdateResult {
  readonly weights: PolicyWeights;
  readonly optimizer: PolicyWeights;
  /**
   * loss, policyLoss, kl, entropy, clipFraction, importanceRatioMax, gradientNorm, teacherDelta, staleTokens, staleWeight, tokens, seconds;
   * with a trust region stepKl, stepKlAsked, stepShare and probeSeconds, too.
   */
  readonly metrics: Readonly<Record<string, number>>;
}

/** Trains a policy off the serving path. */
export interface PolicyTrainer {
  readonly backend: string;
  /** @throws AgentError `learner/non-finite-loss`: nothing has changed then. */
  update(request: UpdateRequest): Promise<UpdateResult>;
  /** Holds an update between two of its passes until it is let go: it comes out the same to the bit. Absent: updates are not held. */
  hold?(held: boolean): void;
  dispose(): Promise<void>;
}

/** What a judge sees. */
export interface JudgeRequest {
  readonly messages: readonly Message[];
  readonly response: string;
  readonly nextState: NextState;
  /** What the step was, where that is known. */
  readonly kind?: ActionKind;
  readonly tokens?: TokenRecord;
  /** What the policy could have called, where that is known. */
  readonly tools?: readonly ToolDefinition[];
}

/** Scores one step: −1, 0 or +1 by m votes. A tie or no valid vote abstains: `value` undefined. */
export interface Verdict {
  readonly value: -1 | 0 | 1 | undefined;
  readonly votes: readonly number[];
  /** How probable it is that the value is right, 0–1, where the judge says it; the share of its votes stands for it otherwise. */
  readonly confidence?: number;
}

/**
 * Checks one step without a model: −1 … +1, or undefined when it has nothing to say. What it says overrides what judges say. It may be asked
 * again for the same step and must say the same.
 */
export interface Verifier {
  readonly name: string;
  verify(request: JudgeRequest): number | undefined | Promise<number | undefined>;
}

/** Judges a step from request, response and next state. Must not throw; a failure abstains. */
export interface StepJudge {
  readonly name: string;
  /** Share of right verdicts on labelled steps, 0–1. */
  readonly reliability: number;
  judge(request: JudgeRequest): Promise<Verdict>;
}

/** Says what absorbs a correction. Rejects only when it cannot be known now, and is asked again. */
export interface CorrectionAttribution {
  attribute(correction: {
    readonly hint: string;
    readonly episodeId: string;
    readonly userId?: string;
    /** The step that was corrected, and how. */
    readonly request: JudgeRequest;
    /** Whether there are weights that can be trained. */
    readonly hasWeights: boolean;
  }): Promise<Attribution>;
}

/** Reads advice off a next state. Must not throw; undefined when there is none. */
export interface HintReader {
  readonly name: string;
  /** Share of labelled replies on which it read the right hint, or rightly none, 0–1. */
  readonly reliability: number;
  read(request: JudgeRequest): Promise<string | undefined>;
}
