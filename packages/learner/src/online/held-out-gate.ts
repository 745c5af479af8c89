import { mixSeed } from "@afterstate/core";
import { type GateVerdict, judgeCandidate } from "../versions/gate.js";
import { versionNumber } from "../versions/version-manifest.js";
import type { OnlineLearnerOptions } from "./learner-options.js";

const LIMITS = { maxKl: 5, minEntropy: 0, confidence: 0.99 };

/** Puts candidates to the held-out episodes, each version once. */
export class HeldOutGate {
  readonly #options: Pick<OnlineLearnerOptions, "gate" | "limits" | "seed">;
  readonly #scores = new Map<string, readonly number[]>();
  /** Scores of the best version that served since the start. */
  #best: readonly number[] | undefined;

  constructor(options: Pick<OnlineLearnerOptions, "gate" | "limits" | "seed">) {
    this.#options = options;
  }

  /** Against the best so far and not only the last: small losses, each within the noise, must not add up. */
  async judge(candidate: string, serving: string, metrics: Readonly<Record<string, number>>): Promise<GateVerdict> {
    const { limits, seed = 0 } = this.#options;
    const now = await this.#scoresOf(serving);
    const best = this.#best !== undefined && sum(this.#best) > sum(now) ? this.#best : now;
    this.#best = best;
    return judgeCandidate({
      best,
      candidate: await this.#scoresOf(candidate),
      metrics,
      limits: { ...LIMITS, ...limits },
      seed: mixSeed(seed, `v${versionNumber(candidate)}`),
    });
  }

  /** Forgets the scores of all versions but one. */
  keepOnly(version: string): void {
    for (const known of this.#scores.keys()) if (known !== version) this.#scores.delete(known);
  }

  async #scoresOf(version: string): Promise<readonly number[]> {
    const known = this.#scores.get(version);
    if (known !== undefined || this.#options.gate === undefined) return known ?? [];
    const scores = await this.#options.gate.evaluate(version);
    this.#scores.set(version, scores);
    return scores;
  }
}

function sum(scores: readonly number[]): number {
  return scores.reduce((total, score) => total + score, 0);
}
