import type { EventPayloads } from "@afterstate/core";
import { inverseGapProbabilities } from "./inverse-gap.js";
import type { WeighedChoice } from "./off-policy-value.js";
import { aged, emptyRidge, expectedReward, type Ridge, widened, withReward } from "./ridge.js";

/** What is known of one decision: plain data, a fold over its logged choices and their rewards. */
export interface LearnedDecision {
  readonly name: string;
  readonly alternatives: readonly string[];
  /** Names of the features, in the order in which they came up. */
  readonly features: readonly string[];
  /** A linear model of the reward for each alternative, over a constant and the features. */
  readonly models: Readonly<Record<string, Ridge>>;
  /** Rewards that count: Σ ρ^age. */
  readonly weight: number;
  /** The latest choices, for estimates. */
  readonly choices: readonly RewardedChoice[];
}

/** A logged choice with its reward. */
export interface RewardedChoice {
  readonly choice: string;
  readonly propensity: number;
  readonly features: Readonly<Record<string, number>>;
  readonly reward: number;
  readonly sessionId: string;
  /** What was expected of each alternative before. */
  readonly expected: Readonly<Record<string, number>>;
}

/** How choices are made from what is known. */
export interface BanditRule {
  /** c in γ = c √n: the larger, the sooner the better alternative gets most of the traffic. */
  readonly exploitation: number;
  /** The least probability of an alternative. */
  readonly floor: number;
  /** ρ: what an earlier reward counts, one reward later. 1 forgets nothing. */
  readonly forgetting: number;
}

/** Choices that are kept for estimates. */
const MOST_CHOICES = 2000;

/** Nothing known of a decision. */
export function newDecision(name: string, alternatives: readonly string[]): LearnedDecision {
  const models = Object.fromEntries(alternatives.map((alternative) => [alternative, emptyRidge(1)]));
  return { name, alternatives, features: [], models, weight: 0, choices: [] };
}

/** Takes in what came of a choice. Alternatives and features may join; those that are gone stay known. */
export function withChoice(
  before: LearnedDecision,
  made: EventPayloads["decision"],
  outcome: { readonly reward: number; readonly sessionId: string },
  { forgetting }: BanditRule,
): LearnedDecision {
  const features = [...new Set([...before.features, ...Object.keys(made.features)])];
  const alternatives = [...new Set([...before.alternatives, ...made.alternatives])];
  const size = features.length + 1;
  const known = alternatives.map((one) => [one, widened(before.models[one] ?? emptyRidge(1), size)] as const);
  const x = vectorOf(features, made.features);
  const expected = Object.fromEntries(known.map(([one, model]) => [one, expectedReward(model, x)]));
  const models = known.map(([one, model]) => {
    const older = aged(model, forgetting);
    return [one, one === made.choice ? withReward(older, x, outcome.reward) : older] as const;
  });
  const { choice, propensity } = made;
  const rewarded: RewardedChoice = { choice, propensity, features: made.features, ...outcome, expected };
  return {
    name: before.name,
    alternatives,
    features,
    models: Object.fromEntries(models),
    weight: forgetting * before.weight + 1,
    choices: [...before.choices.slice(-MOST_CHOICES + 1), rewarded],
  };
}

/** Rewards, −1 to 1, that are expected of alternatives. [alternatives] */
export function expectedRewards(
  { features, models }: LearnedDecision,
  alternatives: readonly string[],
  values: Readonly<Record<string, number>>,
): readonly number[] {
  const x = vectorOf(features, values);
  return alternatives.map((one) => (models[one] ? expectedReward(models[one], x) : 0));
}

/** With what probability each alternative is chosen. [alternatives] */
export function choiceProbabilities(
  decision: LearnedDecision,
  alternatives: readonly string[],
  values: Readonly<Record<string, number>>,
  { exploitation, floor }: BanditRule,
): readonly number[] {
  const expected = expectedRewards(decision, alternatives, values).map((reward) => (reward + 1) / 2);
  // Among many alternatives the floors take no more than half of the traffic.
  const least = Math.min(floor, 0.5 / alternatives.length);
  return inverseGapProbabilities(expected, exploitation * Math.sqrt(decision.weight), least);
}

/** The logged choices beside a policy, which gives each alternative a probability. */
export function weighed(
  { choices }: LearnedDecision,
  policy: (alternative: string, features: Readonly<Record<string, number>>) => number,
): readonly WeighedChoice[] {
  return choices.map(({ choice, propensity, features, reward, sessionId, expected }) => ({
    reward,
    weight: policy(choice, features) / propensity,
    expected: expected[choice]!,
    expectedOfPolicy: Object.entries(expected).reduce((sum, [one, value]) => sum + policy(one, features) * value, 0),
    cluster: sessionId,
  }));
}

function vectorOf(names: readonly string[], values: Readonly<Record<string, number>>): readonly number[] {
  return [1, ...names.map((name) => values[name] ?? 0)];
}
