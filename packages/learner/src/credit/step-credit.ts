import type { ActionKind, Message } from "@afterstate/core";
import { stepGae } from "./gae.js";
import type { KindMagnitudes } from "./kind-scale.js";
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

/** How credit is given to single episodes. */
export interface EpisodeCreditOptions {
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
 * Credit of every step of a batch of episodes, each by itself: there is nobody to compare it with.
 *
 *   Â = stepGae(r', V(state key)),  r' as `scaleByKind` has it
 *   then V(state key_k) ← running mean of Â_k + V(state key_k)
 *
 * V depends on what was observed and not on what was done: a value for each kind of action would erase the choice between kinds.
 *
 * @param episodes with rewards r'. @param values V from before the batch.
 * @returns Â_k of each step of each episode, and V after the batch.
 */
export function creditEpisodes(
  episodes: readonly (readonly Pick<CreditedStep, "stateKey" | "reward">[])[],
  values: CreditState["values"],
  options: EpisodeCreditOptions,
): { readonly advantages: readonly (readonly number[])[]; readonly values: CreditState["values"] } {
  const after: Record<string, RunningMean> = { ...values };
  const advantages = episodes.map((steps) => {
    const before = steps.map(({ stateKey }) => meanOf(values[stateKey], 0));
    const rewards = steps.map(({ reward }) => reward);
    const credit =
      options.credit === "step" ? stepGae(rewards, before, options) : broadcastOutcome(rewards, before[0] ?? 0);
    for (const [k, { stateKey, reward }] of steps.entries())
      if (reward !== undefined) {
        const target = options.credit === "step" ? credit[k]! + before[k]! : credit[k]! + before[0]!;
        after[stateKey] = takeIn(after[stateKey], target, options.decay);
      }
    return credit;
  });
  return { advantages, values: after };
}
