import type { GradientAgreement } from "../tensor/trainable.js";
import type { PolicyWeights, WeightArray } from "../types.js";

/** Where an optimizer's state keeps a {@link SignalShare}. */
const NAME = "signal_share";
/** Weight of a measurement against the one after it. */
const DECAY = 0.9;
/** As if one measurement had found no signal: the first step of all must not be one along chance. */
const PRIOR = [0, 0, 1, 1];
/** One measurement counts no further from the others than so many of their standard deviations, once there are so many of them. */
const [MOST_DEVIATIONS, ENOUGH] = [2, 4];

/**
 * The share of a gradient's power that is signal: what a step along it is worth (arXiv:1812.06162, Eq. 2.7).
 *
 *   share = |G|² / (|G|² + tr Σ / B) = 1 / (1 + B_noise / B)
 *
 * It is read off how the halves g₁, g₂ of a batch agree. Their correlation is of half a batch, and is symmetric about 0 under noise; the
 * formula of Spearman and Brown (1910) makes it that of the whole.
 *
 *   ρ_i   = g₁ · g₂ / ½ (|g₁|² + |g₂|²)
 *   ρ     = mean(ρ_i) − standard error, over the last updates with weights w_i = DECAY^age, at least 0
 *   value = 2 ρ / (1 + ρ)
 *
 * One batch tells little, and what could be chance counts for nothing: under noise alone the value is 0 most of the time.
 */
export class SignalShare {
  /** Σ w ρ, Σ w ρ², Σ w, Σ w². */
  #sums: readonly [number, number, number, number];

  constructor(optimizer: PolicyWeights | undefined) {
    this.#sums = [...(optimizer?.get(NAME)?.data ?? PRIOR)] as [number, number, number, number];
  }

  add(agreement: GradientAgreement | undefined): void {
    if (agreement === undefined) return;
    const { signal, power } = agreement;
    // signal = 4 g₁ · g₂ and power = |g₁ + g₂|²
    const squares = 2 * power - signal;
    if (!(squares > 0)) return;
    const rho = this.#bounded(signal / squares);
    const [x, xx, w, ww] = this.#sums;
    this.#sums = [DECAY * x + rho, DECAY * xx + rho * rho, DECAY * w + 1, DECAY * DECAY * ww + 1];
  }

  /** 0–1; 1 while nothing was measured, for batches that have no halves. */
  get value(): number {
    if (this.#sums[2] === 1) return 1;
    const { mean, deviation, measurements } = this.#statistics();
    const rho = Math.max(0, mean - deviation / Math.sqrt(measurements));
    return (2 * rho) / (1 + rho);
  }

  #bounded(rho: number): number {
    const { mean, deviation, measurements } = this.#statistics();
    const most = measurements < ENOUGH ? Number.POSITIVE_INFINITY : MOST_DEVIATIONS * deviation;
    return Math.min(mean + most, Math.max(mean - most, rho));
  }

  #statistics() {
    const [x, xx, w, ww] = this.#sums;
    const mean = x / w;
    const measurements = (w * w) / ww;
    const variance = measurements > 1 ? ((xx / w - mean * mean) * measurements) / (measurements - 1) : 0;
    return { mean, deviation: Math.sqrt(Math.max(0, variance)), measurements };
  }

  /** What the next update starts from, as part of the optimizer's state. */
  get state(): readonly [name: string, state: WeightArray] {
    return [NAME, { shape: [4], data: Float32Array.from(this.#sums) }];
  }
}
