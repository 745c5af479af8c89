import type { Sample, SampleRequest } from "../tensor/sample-token.js";
import type { TransformerConfig } from "../tensor/transformer-config.js";
import type { PolicyWeights } from "../types.js";

/** Samples responses: the CPU engine, or a backend of TensorFlow.js. */
export interface SamplingEngine {
  /** Makes weights ready to be sampled from: all, or the adapters over the base. */
  load(weights: PolicyWeights): LoadedWeights;
  dispose(): void;
}

/** Weights in the hands of a sampling engine. */
export interface LoadedWeights {
  /** Samples one response, side by side with what else is asked for. */
  sample(request: SampleRequest): Promise<Sample>;
  /** log π of each response token after its prompt, in nats. [rows][tokens] */
  score(rows: readonly ScoredRow[]): Promise<readonly (readonly number[])[]>;
  /** Not while a response is being sampled. */
  free(): void;
}

/** A response whose tokens are scored, at the temperature that it was sampled with. */
export interface ScoredRow {
  readonly promptIds: readonly number[];
  readonly ids: readonly number[];
  readonly temperature: number;
}

/** What is sampled from. */
export interface SamplingOptions {
  readonly config: TransformerConfig;
  /** The frozen weights under adapters. */
  readonly base: PolicyWeights | undefined;
  /** Responses that are sampled side by side. */
  readonly maxBatch: number;
  /** Whether guesses at the next tokens are computed with the last one; the engine's default is to where it is worth it. */
  readonly speculation?: boolean;
}

/** A request with those who wait for its response. */
export interface Waiting {
  readonly request: SampleRequest;
  readonly resolve: (sample: Sample) => void;
  readonly reject: (cause: unknown) => void;
}
