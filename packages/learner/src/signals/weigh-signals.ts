import type { Signal } from "@afterstate/core";
import { chooseHints } from "./choose-hints.js";

/** The source of the reward that a step's cost gives. */
export const COST = "cost";

/** What the signals of a step come to. */
export interface Weighed {
  /** Feedback before verifiers before judges before a head's guess; undefined when nobody said anything. */
  readonly reward: number | undefined;
  /** Whether the reward says anything: a judge's 0 does not. */
  readonly evidence: boolean;
  /** What the step cost, as a reward of 0 or less: added to the credit of the step, and never in the reward's place. */
  readonly shaping: number;
  readonly hints: readonly string[];
}

/**
 * Weighs the signals of a step. Of the highest rank that said anything, the last feedback counts, for it is the user's last word; verifiers
 * and judges count as the mean of what they said, each next state and each parallel result once.
 */
export function weighSignals(signals: readonly Signal[]): Weighed {
  const finite = signals.filter((signal) => signal.kind === "reward").filter(({ value }) => Number.isFinite(value));
  const shaping = finite.filter(({ source }) => source === COST).reduce((sum, { value }) => sum + value, 0);
  const rewards = finite.filter(({ source }) => source !== COST);
  const hints = chooseHints(signals);
  if (rewards.length === 0) return { reward: undefined, evidence: false, shaping, hints };
  const said = rewards.filter((signal) => signal.value !== 0 || rankOf(signal) > 0);
  const highest = Math.max(...(said.length > 0 ? said : rewards).map(rankOf));
  const deciding = rewards.filter((signal) => rankOf(signal) === highest).map(({ value }) => value);
  const reward = highest === 2 ? deciding.at(-1)! : deciding.reduce((sum, value) => sum + value, 0) / deciding.length;
  return { reward, evidence: reward !== 0 || highest === 1, shaping, hints };
}

/** Whether a signal was learned from other episodes, and not read off this one. */
export function isGuess({ source }: Signal): boolean {
  return source.startsWith("head:");
}

function rankOf(signal: Signal): number {
  const { source } = signal;
  if (isGuess(signal)) return -1;
  return source === "feedback" ? 2 : source.startsWith("verifier:") ? 1 : 0;
}
