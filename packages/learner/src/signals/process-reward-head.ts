import { AgentError } from "@afterstate/core";
import type { JudgeRequest, StepJudge, Verdict } from "../types.js";
import { type StepFeatures, stepFeatures } from "./step-features.js";

/** What a head has learned: plain data, kept with the learner. */
export interface HeadState {
  /** w. [size] */
  readonly weights: readonly number[];
  /** Sums of squared gradients of w. [size] */
  readonly squares: readonly number[];
  /** c, the share of w · x that held-out episodes bear out. */
  readonly scale: number;
  /** Good and all outcomes, older ones fading. */
  readonly good: number;
  readonly seen: number;
  /** S, in nats. */
  readonly evidence: number;
  /** Verdicts that it would have given before it learned of the outcome, and those of them that were right. */
  readonly given: number;
  readonly right: number;
}

/** A judge that learns from how episodes ended what their steps were worth. */
export interface ProcessRewardHead extends StepJudge {
  readonly state: HeadState;
  /** Whether it judges at all yet. */
  readonly proven: boolean;
  /** What it will be once it has learned from episodes, each after it was put to the test by it; it is not that yet. */
  after(episodes: readonly Outcome[]): HeadState;
  /** Goes on from another state, or begins. @throws AgentError `head/bad-state` when it is of another size. */
  restore(state: HeadState | undefined): void;
  /** A head with the same numbers that has learned nothing. */
  fresh(): ProcessRewardHead;
}

/** How an episode ended: well or not, by a verifier, a judge or feedback. */
export interface Outcome {
  readonly steps: readonly JudgeRequest[];
  readonly good: boolean;
}

/** Numbers of a head. */
export interface HeadOptions {
  /** Places that features are hashed to. Default 1024. */
  readonly size?: number;
  /** Default 0.1. */
  readonly learningRate?: number;
  /** α: how often a head that knows nothing may come to judge, 0–1. Default 0.01. */
  readonly falseProof?: number;
  /** How sure a verdict must be, 0.5–1; what is less abstains. Default 0.75. */
  readonly confidence?: number;
  readonly state?: HeadState;
}

/** Each outcome counts this much less with every one that follows: about the last hundred count. */
const FADING = 0.99;
const SCALE_RATE = 0.05;

/**
 * A process reward head: logistic regression on the features of a step, trained online on the outcome of its episode, for the steps that no
 * signal came for.
 *
 *   p = σ(b + c w · x)      b the log-odds of a good outcome among recent episodes
 *
 * w follows AdaGrad (Duchi et al., JMLR 12, 2011) on the log-loss, c the gradient of the log-loss of predictions that were made before
 * the outcome was known, which keeps p calibrated. It judges once it has proved that steps tell it something: it bets on every episode
 * before it learns from it,
 *
 *   S ← S + mean over steps of log p(y) − log σ(b)(y)
 *
 * and while steps tell nothing beyond b, S passes log 1/α with probability α at most, whenever one looks (Ville 1939; Shafer, *Testing by
 * betting*, JRSS A 184, 2021). S is held at twice that, so that a head that has gone wrong falls silent soon.
 */
export function processRewardHead(options: HeadOptions = {}): ProcessRewardHead {
  const { size = 1024, learningRate = 0.1, falseProof = 0.01, confidence = 0.75 } = options;
  if (!(falseProof > 0 && falseProof < 1 && confidence >= 0.5 && confidence <= 1))
    throw new AgentError(
      "head/bad-option",
      `falseProof lies between 0 and 1 and confidence between 0.5 and 1, not at ${falseProof} and ${confidence}`,
    );
  const proof = Math.log(1 / falseProof);
  let state = emptyState(size);
  const head: ProcessRewardHead = {
    name: "head:process-reward",
    get state() {
      return state;
    },
    get proven() {
      return state.evidence >= proof;
    },
    get reliability() {
      return (state.right + 1) / (state.given + 2);
    },
    restore(from = emptyState(size)) {
      if (from.weights.length !== size || from.squares.length !== size)
        throw new AgentError(
          "head/bad-state",
          `a head of size ${size} cannot go on from ${from.weights.length} weights`,
        );
      state = from;
    },
    fresh: () => processRewardHead({ size, learningRate, falseProof, confidence }),
    async judge(request): Promise<Verdict> {
      if (!head.proven) return { value: undefined, votes: [] };
      const p = probability(state, stepFeatures(request, size));
      const value = verdictOf(p, confidence);
      if (value === undefined) return { value, votes: [] };
      return { value, votes: [value], confidence: Math.max(p, 1 - p) };
    },
    after: (episodes) =>
      episodes.reduce((before, { steps, good }) => {
        if (steps.length === 0) return before;
        const examples = steps.map((step) => stepFeatures(step, size));
        const after = tested(before, examples, good, { confidence, most: 2 * proof });
        return learned(after, examples, good, learningRate);
      }, state),
  };
  head.restore(options.state);
  return head;
}

function emptyState(size: number): HeadState {
  const zeros = Array<number>(size).fill(0);
  return { weights: zeros, squares: zeros, scale: 0.5, good: 0, seen: 0, evidence: 0, given: 0, right: 0 };
}

/** What an episode says of the head before it learns from it. */
function tested(
  state: HeadState,
  examples: readonly StepFeatures[],
  good: boolean,
  { confidence, most }: { readonly confidence: number; readonly most: number },
): HeadState {
  const base = sigmoid(baseLogOdds(state));
  let [won, given, right, slope] = [0, 0, 0, 0];
  for (const example of examples) {
    const p = probability(state, example);
    won += Math.log(good ? p : 1 - p) - Math.log(good ? base : 1 - base);
    slope += ((good ? 1 : 0) - p) * dot(state.weights, example);
    const verdict = verdictOf(p, confidence);
    if (verdict !== undefined) given++;
    if (verdict === (good ? 1 : -1)) right++;
  }
  const n = examples.length;
  return {
    ...state,
    evidence: Math.min(most, state.evidence + won / n),
    scale: Math.min(2, Math.max(0, state.scale + (SCALE_RATE * slope) / n)),
    given: FADING * state.given + given / n,
    right: FADING * state.right + right / n,
  };
}

function learned(state: HeadState, examples: readonly StepFeatures[], good: boolean, learningRate: number): HeadState {
  const weights = [...state.weights];
  const squares = [...state.squares];
  const base = baseLogOdds(state);
  for (const example of examples) {
    const error = sigmoid(base + dot(weights, example)) - (good ? 1 : 0);
    for (const [k, place] of example.places.entries()) {
      const gradient = (error * example.values[k]!) / examples.length;
      squares[place]! += gradient * gradient;
      weights[place]! -= (learningRate * gradient) / Math.sqrt(squares[place]! + 1e-8);
    }
  }
  return { ...state, weights, squares, good: FADING * state.good + (good ? 1 : 0), seen: FADING * state.seen + 1 };
}

/** Log-odds of a good outcome, with one of each kind added. */
function baseLogOdds({ good, seen }: HeadState): number {
  return Math.log((good + 1) / (seen - good + 1));
}

function probability(state: HeadState, example: StepFeatures): number {
  const p = sigmoid(baseLogOdds(state) + state.scale * dot(state.weights, example));
  return Math.min(0.99, Math.max(0.01, p));
}

function verdictOf(p: number, confidence: number): -1 | 1 | undefined {
  if (p >= confidence) return 1;
  return 1 - p >= confidence ? -1 : undefined;
}

function dot(weights: readonly number[], { places, values }: StepFeatures): number {
  return places.reduce((sum, place, k) => sum + weights[place]! * values[k]!, 0);
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}
