import { AgentError, createRandom, mixSeed } from "@afterstate/core";

const RESAMPLES = 2000;

/** Limits that a candidate has to keep. */
export interface GateLimits {
  /** KL(π_candidate ‖ π_reference) in nats a token, read off the update's metric `kl`. */
  readonly maxKl: number;
  /** Nats a token, read off the update's metric `entropy`. */
  readonly minEntropy: number;
  /** Of the interval of the paired difference, e.g. .95. */
  readonly confidence: number;
}

/** What the gate found. */
export interface GateVerdict {
  readonly accepted: boolean;
  /** A sentence. */
  readonly reason: string;
  /** accepted (0 or 1), episodes, candidate, best, difference, low, high; `suite <name>`, the difference on it. */
  readonly numbers: Readonly<Record<string, number>>;
  /** The suite that the candidate forgot, if it was rejected for one. */
  readonly forgotten?: string;
}

/** Held-out episodes of one skill, on which a candidate must not get worse though it gets better elsewhere. */
export interface Suite {
  readonly name: string;
  readonly candidate: readonly number[];
  /** The same episodes on the version that was best at them. */
  readonly best: readonly number[];
}

/**
 * Lets a candidate serve unless it is significantly worse than what it is compared with on the same held-out episodes.
 *
 *   d_i = score_i(candidate) − score_i(best);  reject when the upper end of the percentile bootstrap interval of
 *   mean(d) is below 0                               Efron and Tibshirani 1993, ch. 13; paired by episode
 *
 * Each suite is tested in the same way, at a confidence of 1 − (1 − confidence)/suites: as many looks, no more rejections by chance.
 * Rejects as well what is not finite, strayed too far from the reference, or lost its entropy.
 *
 * @param candidate Scores 0–1 of the held-out episodes, [episodes]; empty when nothing is held out.
 * @param best The same episodes on the version to compare with: the best that served. [episodes]
 */
export function judgeCandidate(request: {
  readonly candidate: readonly number[];
  readonly best: readonly number[];
  readonly suites?: readonly Suite[];
  readonly metrics: Readonly<Record<string, number>>;
  readonly limits: GateLimits;
  readonly seed: number;
}): GateVerdict {
  const { candidate, best, suites = [], metrics, limits, seed } = request;
  if (candidate.length !== best.length)
    throw new AgentError(
      "gate/unpaired",
      `the gate compares episode by episode, and got ${candidate.length} scores of the candidate and ${best.length} of the version to compare it with`,
    );
  const differences = candidate.map((score, i) => score - best[i]!);
  const [low, high] = bootstrapInterval(differences, limits.confidence, seed);
  const difference = mean(differences);
  const tested = suites.map((suite) => {
    const differences = suite.candidate.map((score, i) => score - suite.best[i]!);
    const confidence = 1 - (1 - limits.confidence) / suites.length;
    const [, high] = bootstrapInterval(differences, confidence, mixSeed(seed, suite.name));
    return { name: suite.name, difference: mean(differences), high };
  });
  const bySuite = Object.fromEntries(tested.map(({ name, difference }) => [`suite ${name}`, difference]));
  const paired = { candidate: mean(candidate), best: mean(best), difference, low, high };
  const verdict = (accepted: boolean, reason: string): GateVerdict => ({
    accepted,
    reason,
    numbers: {
      accepted: accepted ? 1 : 0,
      episodes: candidate.length,
      ...(candidate.length > 0 && paired),
      ...bySuite,
    },
  });
  const broken = Object.entries(metrics).find(([, value]) => !Number.isFinite(value));
  if (broken) return verdict(false, `the update's ${broken[0]} is ${broken[1]}`);
  if (!candidate.every(Number.isFinite) || !best.every(Number.isFinite))
    return verdict(false, "a held-out score is not a finite number");
  if (metrics.kl !== undefined && metrics.kl > limits.maxKl)
    return verdict(false, `its KL to the reference is ${metrics.kl}, over the limit of ${limits.maxKl}`);
  if (metrics.entropy !== undefined && metrics.entropy < limits.minEntropy)
    return verdict(false, `its entropy is ${metrics.entropy}, under the limit of ${limits.minEntropy}`);
  if (high < 0) return verdict(false, `it is worse on held-out episodes by ${-difference}, interval ${low} to ${high}`);
  const worst = tested.find(({ high }) => high < 0);
  if (worst !== undefined) {
    const reason = `it forgot "${worst.name}": worse by ${-worst.difference} on its held-out episodes`;
    return { ...verdict(false, reason), forgotten: worst.name };
  }
  return verdict(true, "it is not significantly worse on held-out episodes");
}

/**
 * The percentile bootstrap interval of a mean: resample n of n with replacement, take the means' quantiles.
 *
 * @returns [low, high]; [0, 0] for no numbers.
 */
export function bootstrapInterval(numbers: readonly number[], confidence: number, seed: number): [number, number] {
  if (numbers.length === 0) return [0, 0];
  const random = createRandom(seed);
  const means = Array.from({ length: RESAMPLES }, () => {
    let sum = 0;
    for (let i = 0; i < numbers.length; i++) sum += numbers[random.integer(numbers.length)]!;
    return sum / numbers.length;
  }).sort((a, b) => a - b);
  const at = (quantile: number) => means[Math.min(RESAMPLES - 1, Math.max(0, Math.round(quantile * (RESAMPLES - 1))))]!;
  return [at((1 - confidence) / 2), at((1 + confidence) / 2)];
}

function mean(numbers: readonly number[]): number {
  return numbers.length === 0 ? 0 : numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}
