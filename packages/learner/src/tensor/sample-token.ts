import { createRandom, type Random } from "@afterstate/core";

/** One response to sample. */
export interface SampleRequest {
  readonly promptIds: readonly number[];
  readonly seed: number;
  readonly temperature: number;
  readonly maxTokens: number;
  /** Sampling one of these ends the response; it is part of the record. */
  readonly stopIds: ReadonlySet<number>;
  readonly signal?: AbortSignal;
  /** Called for every token as it is sampled. Must not throw. */
  readonly onToken?: (id: number) => void;
}

/** What was sampled. */
export interface Sample {
  readonly ids: readonly number[];
  /** log π of each id at the sampling temperature, in nats. [tokens] */
  readonly logProbs: readonly number[];
  readonly stoppedBy: "stop" | "length" | "abort";
}

/** A response that is being sampled. */
export interface Row {
  readonly request: SampleRequest;
  readonly random: Random;
  readonly ids: number[];
  readonly logProbs: number[];
  stoppedBy: Sample["stoppedBy"] | undefined;
}

/** A response of which nothing is sampled yet. */
export function rowOf(request: SampleRequest): Row {
  return { request, random: createRandom(request.seed), ids: [], logProbs: [], stoppedBy: undefined };
}

/**
 * Draws one token of a row: softmax(z / temperature), in float64. Temperature 0 takes the likeliest, with log-prob 0.
 *
 * @param scores z. [vocab] @param maxPositions tokens that a context holds.
 */
export function sampleToken(row: Row, scores: Float32Array, maxPositions: number): void {
  const { request, random, ids, logProbs } = row;
  if (request.signal?.aborted === true) {
    row.stoppedBy = "abort";
    return;
  }
  let top = 0;
  for (let id = 1; id < scores.length; id++) if (scores[id]! > scores[top]!) top = id;
  let [id, logProb] = [top, 0];
  if (request.temperature > 0) {
    const odds = new Float64Array(scores.length);
    let sum = 0;
    for (let id = 0; id < scores.length; id++) {
      odds[id] = Math.exp((scores[id]! - scores[top]!) / request.temperature);
      sum += odds[id]!;
    }
    let left = random.next() * sum;
    for (id = 0; id < scores.length - 1; id++) {
      left -= odds[id]!;
      if (left < 0) break;
    }
    logProb = (scores[id]! - scores[top]!) / request.temperature - Math.log(sum);
  }
  ids.push(id);
  logProbs.push(logProb);
  request.onToken?.(id);
  const room = maxPositions - request.promptIds.length;
  if (request.stopIds.has(id)) row.stoppedBy = "stop";
  else if (ids.length >= Math.min(request.maxTokens, room)) row.stoppedBy = "length";
}
