import type { ActionKind, Message } from "@afterstate/core";
import { stepGae } from "./gae.js";
import { type KindMagnitudes, scaleByKind, takeInMagnitudes } from "./kind-scale.js";
import { broadcastOutcome } from "./outcome.js";
import { meanOf, type RunningMean, takeIn } from "./running-mean.js";

/** A step as credit sees it. */
export interface CreditedStep {
  readonly kind: ActionKind;
  /** What the baseline's value depends on: see `stateKeyOf`. */
  readonly stateKey: string;
  /** Undefined when nothing was learned about the step. */
  readonly reward: number | undefined;
}

/** What credit remembers between batches: plain data, kept with the policy version that it led to. */
export interface CreditState {
  /** V(state key). */
  readonly values: Readonly<Record<string, RunningMean>>;
  readonly magnitudes: KindMagnitudes;
}

/** How credit is given. */
export interface CreditOptions {
  /** "step": step GAE. "broadcast": every step gets the episode's outcome. */
  readonly credit: "step" | "broadcast";
  readonly gamma: number;
  readonly lambda: number;
  /** β of the running means. */
  readonly decay: number;
}

/** Nothing remembered yet. */
export const EMPTY_CREDIT: CreditState = { values: {}, magnitudes: {} };

/**
 * The kind of observation a step acted on: the role of the last message it saw, and whether the user speaks for the first
 * time ("user") or has replied before ("user again"): a question and a complaint promise unlike returns. Never the kind of
 * action it took.
 */
export function stateKeyOf(messages: readonly Message[]): string {
  const role = messages.at(-1)?.role ?? "none";
  return messages.filter((message) => message.role === "user").length > 1 ? `${role} again` : role;
}

/**
 * Credit of every step of a batch of episodes.
 *
 *   Â = stepGae(r', V(state key)),  r' = scaleByKind(r)
 *   then V(state key_k) ← running mean of Â_k + V(state key_k)
 *
 * V depends on what was observed and not on what was done: a value for each kind of action would erase the choice between kinds.
 *
 * @returns Â_k of each step of each episode, on the values from before the batch, and the state after it.
 */
export function creditEpisodes(
  episodes: readonly (readonly CreditedStep[])[],
  state: CreditState,
  options: CreditOptions,
): { readonly advantages: readonly (readonly number[])[]; readonly state: CreditState } {
  const { decay } = options;
  const ofKinds = (steps: readonly CreditedStep[]) => ({
    kinds: steps.map(({ kind }) => kind),
    rewards: steps.map(({ reward }) => reward),
  });
  const magnitudes = takeInMagnitudes(state.magnitudes, ofKinds(episodes.flat()), decay);
  const values: Record<string, RunningMean> = { ...state.values };
  const advantages = episodes.map((steps) => {
    const rewards = scaleByKind(ofKinds(steps), magnitudes);
    const before = steps.map(({ stateKey }) => meanOf(state.values[stateKey], 0));
    const credit =
      options.credit === "step" ? stepGae(rewards, before, options) : broadcastOutcome(rewards, before[0] ?? 0);
    for (const [k, { stateKey, reward }] of steps.entries())
      if (reward !== undefined) {
        const target = options.credit === "step" ? credit[k]! + before[k]! : credit[k]! + before[0]!;
        values[stateKey] = takeIn(values[stateKey], target, decay);
      }
    return credit;
  });
  return { advantages, state: { values, magnitudes } };
}
