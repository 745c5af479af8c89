import type { AdamOptions } from "../tensor/adam.js";
import type { BatchStatistics, PolicyLossOptions, PolicyLossRow, PolicyTerm } from "../tensor/policy-loss.js";
import type { GradientAgreement } from "../tensor/trainable.js";
import type { PolicyWeights, Teacher, UpdateRequest } from "../types.js";

/** Computes updates: the CPU engine, or a backend of TensorFlow.js. */
export interface UpdateEngine {
  /** What it runs on, for people. */
  readonly description: string;
  /**
   * Starts an update; one at a time. The caller disposes it.
   * @throws CheckpointError `checkpoint/mismatch` when the optimizer's state is that of other weights.
   */
  open(request: Pick<UpdateRequest, "weights" | "optimizer" | "reference">, adam: AdamOptions): PolicyUpdate;
  dispose(): void;
}

/** Weights under training in one update. */
export interface PolicyUpdate {
  /**
   * Rows with their old, reference and teacher log-probabilities under the weights as they are now; each batch is accumulated at least
   * once before the first step. The caller disposes the batch.
   *
   * @param teacher undefined: hints are left out.
   */
  prepare(rows: readonly PolicyLossRow[], options: { readonly teacher: Teacher | undefined }): Promise<PreparedBatch>;
  /** How far the halves of the batch agree on the accumulated gradient; undefined while one of them has none. */
  agreement(): Promise<GradientAgreement | undefined>;
  /** One step on the accumulated gradient, clipped to the global norm. @returns the norm before clipping. */
  step(learningRate: number, gradientClip: number): Promise<number>;
  weights(): Promise<PolicyWeights>;
  optimizer(): Promise<PolicyWeights>;
  dispose(): void;
}

/** A micro-batch of an update. [positions]: as many as the engine holds; those that count are marked. */
export interface PreparedBatch {
  /** 1 at a response token that counts. [positions] */
  readonly counted: Float32Array;
  /** log π_old of the sampled tokens, in nats; known once the batch was accumulated. [positions] */
  readonly oldLogProbs: Float32Array;
  /** What hints count and how far the teacher is from the policy: see `Lesson`. [positions] */
  readonly lesson?: { readonly weight: Float32Array; readonly delta: Float32Array };
  /** Adds the gradient of the policy loss to that of one half of the batch. @param term takes the place of PPO-clip. @returns the loss. */
  accumulate(options: PolicyLossOptions, half: 0 | 1, term?: PolicyTerm): Promise<number>;
  /** log π_reference of the sampled tokens, in nats. [positions] */
  referenceLogProbs(): Promise<Float32Array>;
  /** What the policy is like now. */
  statistics(): Promise<BatchStatistics>;
  dispose(): void;
}
