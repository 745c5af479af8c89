import type { TokenRecord } from "@afterstate/core";
import type { AdamOptions } from "../tensor/adam.js";
import type { PolicyWeights, TrustRegion } from "../types.js";
import { microBatches } from "./micro-batches.js";
import type { UpdateEngine } from "./policy-update.js";

/** Looks for a step that fits; the last is no step at all. */
const MOST_TRIES = 8;
/** Of the step that would just fit if KL grew with its square. */
const SHORTER = 0.98;

/** Weights within a trust region around others, and how they were found. */
export interface ConfinedStep {
  readonly weights: PolicyWeights;
  /** KL of the step that is taken and of the one that was asked for, the share of it that is taken, and what it cost. */
  readonly numbers: {
    readonly stepKl: number;
    readonly stepKlAsked: number;
    readonly stepShare: number;
    readonly probeSeconds: number;
  };
}

/**
 * Shortens a step until it stays within a trust region (backtracking as in TRPO, arXiv:1502.05477, App. C).
 *
 *   θ ← θ_old + α (θ_new − θ_old),  the first α of 1, √(δ/KL(1)), … with mean KL(π_θ ‖ π_θold) ≤ δ on the probe
 *
 * A step whose KL is not a number, or that fits at no length, is not taken: α = 0.
 */
export async function confineStep(
  engine: UpdateEngine,
  adam: AdamOptions,
  { probe, maxKl }: TrustRegion,
  { from, to }: { readonly from: PolicyWeights; readonly to: PolicyWeights },
  maxTokens: number,
): Promise<ConfinedStep> {
  const started = performance.now();
  const measure = (weights: PolicyWeights) => probeKl(engine, adam, probe, { weights, reference: from }, maxTokens);
  const asked = await measure(to);
  let [share, kl, weights] = [1, asked, to];
  for (let tries = 0; !(kl <= maxKl) && Number.isFinite(kl) && tries < MOST_TRIES; tries++) {
    share *= Math.min(0.9, SHORTER * Math.sqrt(Math.max(0, maxKl) / kl));
    weights = between(from, to, share);
    kl = await measure(weights);
  }
  if (!(kl <= maxKl)) [share, kl, weights] = [0, 0, from];
  const probeSeconds = (performance.now() - started) / 1000;
  return { weights, numbers: { stepKl: kl, stepKlAsked: asked, stepShare: share, probeSeconds } };
}

/** Mean KL(π ‖ π_reference) at the tokens of a probe. In nats a token. */
async function probeKl(
  engine: UpdateEngine,
  adam: AdamOptions,
  probe: readonly TokenRecord[],
  policies: { readonly weights: PolicyWeights; readonly reference: PolicyWeights },
  maxTokens: number,
): Promise<number> {
  const rows = probe.map((tokens, index) => ({
    of: { episodeId: `probe/${index}`, stepIndex: 0 },
    policyVersion: "",
    tokens,
    advantages: tokens.ids.map(() => 0),
  }));
  const update = engine.open(policies, adam);
  let [sum, count] = [0, 0];
  try {
    for (const { samples } of microBatches(rows, maxTokens)) {
      const batch = await update.prepare(
        samples.map(({ tokens, advantages }) => ({ ...tokens, advantages })),
        { teach: false },
      );
      const { kl } = await batch.statistics();
      for (const [at, counts] of batch.counted.entries())
        if (counts !== 0) {
          sum += kl[at]!;
          count += 1;
        }
      batch.dispose();
    }
  } finally {
    update.dispose();
  }
  return count === 0 ? 0 : sum / count;
}

function between(from: PolicyWeights, to: PolicyWeights, share: number): PolicyWeights {
  return new Map(
    [...from].map(([name, { shape, data }]) => {
      const moved = to.get(name)!.data;
      return [name, { shape, data: data.map((value, i) => value + share * (moved[i]! - value)) }];
    }),
  );
}
