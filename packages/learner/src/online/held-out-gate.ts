import { AgentError, mixSeed } from "@afterstate/core";
import { type GateVerdict, judgeCandidate } from "../versions/gate.js";
import { versionNumber } from "../versions/version-manifest.js";
import type { OnlineLearnerOptions } from "./learner-options.js";

const LIMITS = { maxKl: 5, minEntropy: 0, confidence: 0.99 };

/** Puts candidates to the held-out episodes, each version once. */
export class HeldOutGate {
  readonly #options: Pick<OnlineLearnerOptions, "gate" | "limits" | "seed">;
  readonly #scores = new Map<string, readonly number[]>();
  /** Scores of the best version that served since the start: on all episodes, and on each suite. */
  readonly #best = new Map<string, readonly number[]>();

  constructor(options: Pick<OnlineLearnerOptions, "gate" | "limits" | "seed">) {
    this.#options = options;
  }

  /** Against the best so far and not only the last: small losses, each within the noise, must not add up. */
  async judge(candidate: string, serving: string, metrics: Readonly<Record<string, number>>): Promise<GateVerdict> {
    const { limits, seed = 0, gate } = this.#options;
    const [now, tried] = [await this.#scoresOf(serving), await this.#scoresOf(candidate)];
    const suites = Object.entries(gate?.suites ?? {}).map(([name, places]) => ({
      name,
      best: this.#bestOf(`suite ${name}`, scoresAt(now, name, places)),
      candidate: scoresAt(tried, name, places),
    }));
    return judgeCandidate({
      best: this.#bestOf("all", now),
      candidate: tried,
      suites,
      metrics,
      limits: { ...LIMITS, ...limits },
      seed: mixSeed(seed, `v${versionNumber(candidate)}`),
    });
  }

  /** Forgets the scores of all other versions. */
  keepOnly(versions: readonly string[]): void {
    for (const known of this.#scores.keys()) if (!versions.includes(known)) this.#scores.delete(known);
  }

  #bestOf(which: string, now: readonly number[]): readonly number[] {
    const known = this.#best.get(which);
    const best = known !== undefined && sum(known) > sum(now) ? known : now;
    this.#best.set(which, best);
    return best;
  }

  async #scoresOf(version: string): Promise<readonly number[]> {
    const known = this.#scores.get(version);
    if (known !== undefined || this.#options.gate === undefined) return known ?? [];
    const scores = await this.#options.gate.evaluate(version);
    this.#scores.set(version, scores);
    return scores;
  }
}

function scoresAt(scores: readonly number[], suite: string, places: readonly number[]): readonly number[] {
  return places.map((place) => {
    const score = scores[place];
    if (score !== undefined) return score;
    const message = `suite "${suite}" names held-out episode ${place}, and there are ${scores.length} of them`;
    throw new AgentError("gate/unpaired", message);
  });
}

function sum(scores: readonly number[]): number {
  return scores.reduce((total, score) => total + score, 0);
}
