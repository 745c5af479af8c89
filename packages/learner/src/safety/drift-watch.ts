import { addReward, type RewardStatistics } from "../online/reward-watch.js";
import type { Alarm } from "./alarm.js";
import type { AnswerStatistics } from "./answer-statistics.js";
import { welchDifference } from "./welch.js";

/** One update, as the watch remembers it. */
export interface UpdatePoint extends AnswerStatistics {
  /** Nats a token, as the update measured them. */
  readonly entropy?: number;
  readonly kl?: number;
  /** Mean score of the candidate on held-out episodes. */
  readonly heldOut?: number;
}

/** From where on numbers are worth an alarm. */
export interface DriftLimits {
  /** Entropy as a share of that of the first update. */
  readonly entropyShare: number;
  /** KL to the reference, in nats a token. */
  readonly kl: number;
  /** Factor by which the length of answers changes while their reward rises and nothing else says that they got better. */
  readonly length: number;
  /** Rise of the share of repeated trigrams under the same circumstances. */
  readonly repetition: number;
  /** Share of steps on which judges differ, when it has risen to it. */
  readonly disagreement: number;
  /** Width of intervals in standard errors. */
  readonly z: number;
}

/** What learning in the homework domain stays well within. */
export const DRIFT_LIMITS: DriftLimits = {
  entropyShare: 0.05,
  kl: 1,
  length: 2,
  repetition: 0.15,
  disagreement: 0.2,
  z: 2.58,
};

/** What is remembered from update to update. */
export interface DriftState {
  /** The latest updates, oldest first. */
  readonly updates: readonly UpdatePoint[];
  /** Entropy of the first update of all. */
  readonly firstEntropy?: number;
  /** Alarms that were told and whose cause is still there. */
  readonly active: readonly string[];
}

/** Nothing has been learned. */
export const NO_DRIFT: DriftState = { updates: [], active: [] };

const UPDATES = 24;
/** The older and the newer half need so many updates each before they are compared. */
const HALF = 4;
/** Comparisons of judges, and replies of users, that a half needs. */
const COUNTED = 16;

/** Takes an update in. @returns the alarms that were not active before it. */
export function watchDrift(
  state: DriftState,
  update: UpdatePoint,
  limits: DriftLimits,
): { readonly state: DriftState; readonly alarms: readonly Alarm[] } {
  const updates = [...state.updates, update].slice(-UPDATES);
  const firstEntropy = state.firstEntropy ?? update.entropy;
  const found = [
    entropyCollapse(updates, firstEntropy, limits),
    klDrift(update, limits),
    ...rewardHacking(updates, limits),
    judgeDisagreement(updates, limits),
  ].filter((alarm) => alarm !== undefined);
  return {
    state: {
      updates,
      ...(firstEntropy !== undefined && { firstEntropy }),
      active: found.map(({ name }) => name),
    },
    alarms: found.filter(({ name }) => !state.active.includes(name)),
  };
}

/** Twice in a row, so that one batch of sure answers is no alarm. */
function entropyCollapse(
  updates: readonly UpdatePoint[],
  first: number | undefined,
  { entropyShare }: DriftLimits,
): Alarm | undefined {
  const entropies = updates.flatMap(({ entropy }) => (entropy === undefined ? [] : [entropy]));
  const [before, now] = entropies.slice(-2);
  if (first === undefined || before === undefined || now === undefined) return undefined;
  if (Math.max(before, now) >= entropyShare * first) return undefined;
  const numbers = { entropy: now, first, share: now / first, perUpdate: slopeOf(entropies) };
  const message = `the policy's entropy fell to ${now.toFixed(4)} nats a token, ${(now / first).toFixed(3)} of what it was at first`;
  return { name: "entropy-collapse", severity: "warning", message, numbers };
}

function klDrift({ kl }: UpdatePoint, limits: DriftLimits): Alarm | undefined {
  if (kl === undefined || kl <= limits.kl) return undefined;
  const message = `the policy is ${kl.toFixed(3)} nats a token from where it began`;
  return { name: "kl-drift", severity: "warning", message, numbers: { kl, limit: limits.kl } };
}

/** The judge's reward rises from the older half of the updates to the newer, and what it stands for does not. */
function rewardHacking(updates: readonly UpdatePoint[], limits: DriftLimits): readonly Alarm[] {
  const [older, newer] = halves(updates);
  const change = (key: "reward" | "heldOut" | "words" | "repetition") =>
    welchDifference(statisticsOf(newer, key), statisticsOf(older, key), limits.z);
  const reward = change("reward");
  if (reward === undefined || reward.low <= 0) return [];
  const alarms: Alarm[] = [];
  const heldOut = change("heldOut");
  const reasks = shareChange(older, newer, "reasks", "replies");
  const rose = `reward rose by ${reward.value.toFixed(3)}`;
  if (heldOut !== undefined && heldOut.high < 0)
    alarms.push({
      name: "reward-hacking",
      severity: "warning",
      message: `${rose} while held-out scores fell by ${(-heldOut.value).toFixed(3)}`,
      numbers: { reward: reward.value, heldOut: heldOut.value },
    });
  else if (reasks !== undefined && reasks.score > limits.z)
    alarms.push({
      name: "reward-hacking",
      severity: "warning",
      message: `${rose} while users ask again more often: ${reasks.now.toFixed(3)} of replies after ${reasks.before.toFixed(3)}`,
      numbers: { reward: reward.value, reasks: reasks.now, reasksBefore: reasks.before },
    });
  // Answers may get longer or shorter when something that is not the judge says that they got better.
  if (heldOut !== undefined && heldOut.low > 0) return alarms;
  const [before, now] = [statisticsOf(older, "words")?.mean, statisticsOf(newer, "words")?.mean];
  if (before !== undefined && now !== undefined && Math.max(now / before, before / now) > limits.length)
    alarms.push({
      name: "length-drift",
      severity: "warning",
      message: `${rose} while answers went from ${before.toFixed(1)} to ${now.toFixed(1)} words`,
      numbers: { reward: reward.value, words: now, wordsBefore: before },
    });
  const repetition = change("repetition");
  if (repetition !== undefined && repetition.low > 0 && repetition.value > limits.repetition)
    alarms.push({
      name: "repetition",
      severity: "warning",
      message: `${rose} while answers repeat themselves: ${repetition.value.toFixed(3)} more of their trigrams`,
      numbers: { reward: reward.value, repetition: repetition.value },
    });
  return alarms;
}

function judgeDisagreement(updates: readonly UpdatePoint[], limits: DriftLimits): Alarm | undefined {
  const [older, newer] = halves(updates);
  const change = shareChange(older, newer, "conflicts", "compared");
  if (change === undefined || change.now < limits.disagreement || change.score <= limits.z) return undefined;
  const message = `those who judge the same step differ on ${change.now.toFixed(3)} of them, after ${change.before.toFixed(3)}`;
  const numbers = { share: change.now, before: change.before };
  return { name: "judge-disagreement", severity: "warning", message, numbers };
}

/** Of an even number of the latest updates; empty while there are too few. */
function halves(updates: readonly UpdatePoint[]): readonly [readonly UpdatePoint[], readonly UpdatePoint[]] {
  const half = Math.floor(updates.length / 2);
  return half < HALF ? [[], []] : [updates.slice(-2 * half, -half), updates.slice(-half)];
}

function statisticsOf(
  updates: readonly UpdatePoint[],
  key: "reward" | "heldOut" | "words" | "repetition",
): RewardStatistics | undefined {
  return updates.reduce<RewardStatistics | undefined>((statistics, update) => {
    const value = update[key];
    return value === undefined ? statistics : addReward(statistics, value);
  }, undefined);
}

/**
 * How a share changed, in standard errors: the test of two proportions with a pooled variance.
 *
 *   (p_new − p_old) / √(p (1 − p) (1/n_new + 1/n_old))
 */
function shareChange(
  older: readonly UpdatePoint[],
  newer: readonly UpdatePoint[],
  part: "reasks" | "conflicts",
  whole: "replies" | "compared",
) {
  const total = (updates: readonly UpdatePoint[], key: typeof part | typeof whole) =>
    updates.reduce((sum, update) => sum + update[key], 0);
  const [n, m] = [total(older, whole), total(newer, whole)];
  if (n < COUNTED || m < COUNTED) return undefined;
  const [before, now] = [total(older, part) / n, total(newer, part) / m];
  const pooled = (before * n + now * m) / (n + m);
  const error = Math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m));
  return { before, now, score: error === 0 ? 0 : (now - before) / error };
}

/** The slope of the least-squares line through numbers, for each step. */
function slopeOf(numbers: readonly number[]): number {
  const middle = (numbers.length - 1) / 2;
  const spread = numbers.reduce((sum, _, i) => sum + (i - middle) ** 2, 0);
  return spread === 0 ? 0 : numbers.reduce((sum, number, i) => sum + (i - middle) * number, 0) / spread;
}
