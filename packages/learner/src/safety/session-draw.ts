import { createRandom, mixSeed } from "@afterstate/core";

/** A share of sessions that always get the base policy. */
export interface Holdout {
  /** 0–1. */
  readonly share: number;
  readonly seed: number;
}

/** A number of a session, uniform in [0, 1): always the same one, and another one for each purpose. */
export function sessionDraw(sessionId: string, seed: number, purpose: string): number {
  return createRandom(mixSeed(seed, purpose, sessionId)).next();
}

/**
 * Whether a session is held out: it gets the base policy and nothing else that was learned, neither text nor decisions, from its
 * first step to its last. Its episodes are judged and counted, and never trained on.
 */
export function isHeldOut(sessionId: string, { share, seed }: Holdout): boolean {
  return sessionDraw(sessionId, seed, "holdout") < share;
}
