import { createRandom, type Random } from "@afterstate/core";
import { leastOdds, type Truncation } from "./truncation.js";

/** What a token may be, beside what is likely: a grammar. It follows one response. */
export interface TokenConstraint {
  /** Whether a token may come next. */
  allows(id: number): boolean;
  /** All tokens that may come next: 1 for each. At least one. [vocab] */
  allowed(): Uint8Array;
  /** Goes on to the place after a token. */
  accept(id: number): void;
}

/** One response to sample. */
export interface SampleRequest {
  readonly promptIds: readonly number[];
  readonly seed: number;
  readonly temperature: number;
  readonly maxTokens: number;
  /** Sampling one of these ends the response; it is part of the record. */
  readonly stopIds: ReadonlySet<number>;
  /** Default: every token may be sampled. */
  readonly truncation?: Truncation;
  readonly constraint?: TokenConstraint;
  /** Nobody waits for it: on the CPU engine it gives way to requests that somebody waits for. */
  readonly background?: boolean;
  readonly signal?: AbortSignal;
  /** Called for every token as it is sampled. Must not throw. */
  readonly onToken?: (id: number) => void;
  /** Whether the response ends with this token, e.g. in a stop string; asked after `onToken`. Must not throw. */
  readonly endsWith?: (id: number) => boolean;
}

/** What was sampled. */
export interface Sample {
  readonly ids: readonly number[];
  /** log π of each id under the whole softmax at the sampling temperature, in nats; 0 where the mask is 0. [tokens] */
  readonly logProbs: readonly number[];
  /** 1 = drawn from the policy, 0 = forced by a limit or grammar. [tokens] */
  readonly mask: readonly number[];
  readonly stoppedBy: "stop" | "length" | "abort";
}

/** A response that is being sampled. */
export interface Row {
  readonly request: SampleRequest;
  readonly random: Random;
  readonly ids: number[];
  readonly logProbs: number[];
  readonly mask: number[];
  stoppedBy: Sample["stoppedBy"] | undefined;
}

/** A response of which nothing is sampled yet. */
export function rowOf(request: SampleRequest): Row {
  return { request, random: createRandom(request.seed), ids: [], logProbs: [], mask: [], stoppedBy: undefined };
}

/** What a row has come to. */
export function sampleOf({ ids, logProbs, mask, stoppedBy }: Row): Sample {
  return { ids, logProbs, mask, stoppedBy: stoppedBy! };
}

/** Adds the next token to a row. @param scores z. [vocab] @param maxPositions tokens that a context holds. */
export function sampleToken(row: Row, scores: Float32Array, maxPositions: number): void {
  const { request, ids, logProbs, mask } = row;
  if (request.signal?.aborted === true) {
    row.stoppedBy = "abort";
    return;
  }
  const { id, logProb, own } = request.temperature > 0 ? draw(row, scores) : likeliest(row, scores);
  ids.push(id);
  logProbs.push(own ? logProb : 0);
  mask.push(own ? 1 : 0);
  request.constraint?.accept(id);
  request.onToken?.(id);
  const ended = request.endsWith?.(id) === true;
  const room = maxPositions - request.promptIds.length;
  if (ended || request.stopIds.has(id)) row.stoppedBy = "stop";
  else if (ids.length >= Math.min(request.maxTokens, room)) row.stoppedBy = "length";
}

interface Drawn {
  readonly id: number;
  readonly logProb: number;
  /** Whether the policy drew it, and nothing forced it. */
  readonly own: boolean;
}

/**
 * Draws from π = softmax(z / temperature), in float64. Where limits or a grammar refuse what was drawn, it draws again among what they allow.
 *
 * Both draws together give each allowed token its probability of the renormalised π: π(a) + (1 − Z) π(a) / Z = π(a) / Z, where Z is
 * the probability of all allowed tokens. Only a token of the first draw is the policy's own, so that its log-probability is that of the
 * distribution it was drawn from, and importance ratios hold; a token of the second draw was forced, and learning leaves it out. With
 * the same seed a constraint changes nothing as long as the policy keeps to it by itself.
 */
function draw({ request, random }: Row, scores: Float32Array): Drawn {
  const { temperature, truncation, constraint } = request;
  const top = argmax(scores);
  const odds = new Float64Array(scores.length);
  let sum = 0;
  for (let id = 0; id < scores.length; id++) {
    odds[id] = Math.exp((scores[id]! - scores[top]!) / temperature);
    sum += odds[id]!;
  }
  const least = truncation === undefined ? 0 : leastOdds(odds, sum, truncation);
  const first = pick(odds, random.next() * sum);
  const logProb = (scores[first]! - scores[top]!) / temperature - Math.log(sum);
  if (odds[first]! >= least && constraint?.allows(first) !== false) return { id: first, logProb, own: true };

  const allowed = constraint?.allowed();
  let among = 0;
  const limited = odds.map((odd, id) => (odd >= least && allowed?.[id] !== 0 ? odd : 0));
  for (const odd of limited) among += odd;
  // What the grammar allows may lie beyond the limits, or be too unlikely for a float: then the likeliest that it allows.
  const id = among > 0 ? pick(limited, random.next() * among) : argmax(scores, allowed);
  return { id, logProb: 0, own: false };
}

/** Temperature 0: the likeliest token, with log-prob 0. */
function likeliest({ request: { constraint } }: Row, scores: Float32Array): Drawn {
  const top = argmax(scores);
  if (constraint?.allows(top) !== false) return { id: top, logProb: 0, own: true };
  return { id: argmax(scores, constraint.allowed()), logProb: 0, own: false };
}

/** The first token at which the sum of odds passes `left`. */
function pick(odds: Float64Array, left: number): number {
  let rest = left;
  let last = 0;
  for (let id = 0; id < odds.length; id++) {
    if (odds[id] === 0) continue;
    last = id;
    rest -= odds[id]!;
    if (rest < 0) break;
  }
  return last;
}

/** The index of the greatest score, the first of equal ones. @param among 1 for each that counts. */
function argmax(scores: Float32Array, among?: Uint8Array): number {
  let top = among === undefined ? 0 : Math.max(0, among.indexOf(1));
  for (let id = top + 1; id < scores.length; id++) if (scores[id]! > scores[top]! && among?.[id] !== 0) top = id;
  return top;
}
