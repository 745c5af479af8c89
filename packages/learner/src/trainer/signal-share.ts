import type { GradientAgreement } from "../tensor/trainable.js";
import type { PolicyWeights, WeightArray } from "../types.js";

/** Where an optimizer's state keeps a {@link SignalShare}. */
const NAME = "signal_share";
/** Weight of a measurement against the one after it. */
const DECAY = 0.9;
/** As if one measurement had found no signal: the first step of all must not be one along chance. */
const PRIOR = [0, 0, 1, 1];

/**
 * The share of a gradient's power that is signal: what a step along it is worth (arXiv:1812.06162, Eq. 2.7).
 *
 *   share_i = signal / power ≈ |G|² / (|G|² + tr Σ / B) = 1 / (1 + B_noise / B)
 *   value   = mean(share) − standard error, over the last updates with weights w_i = DECAY^age, at least 0
 *
 * One batch tells little, and what could be chance counts for nothing: under noise alone the value is 0 most of the time.
 */
export class SignalShare {
  /** Σ w x, Σ w x², Σ w, Σ w². */
  #sums: readonly [number, number, number, number];

  constructor(optimizer: PolicyWeights | undefined) {
    this.#sums = [...(optimizer?.get(NAME)?.data ?? PRIOR)] as [number, number, number, number];
  }

  add(agreement: GradientAgreement | undefined): void {
    if (agreement === undefined || agreement.power === 0) return;
    // Two halves that cancel out would count without bound.
    const share = Math.max(-1, agreement.signal / agreement.power);
    const [x, xx, w, ww] = this.#sums;
    this.#sums = [DECAY * x + share, DECAY * xx + share * share, DECAY * w + 1, DECAY * DECAY * ww + 1];
  }

  /** 0–1; 1 while nothing was measured, for batches that have no halves. */
  get value(): number {
    const [x, xx, w, ww] = this.#sums;
    if (w === 1) return 1;
    const mean = x / w;
    const measurements = (w * w) / ww;
    const variance = ((xx / w - mean * mean) * measurements) / (measurements - 1);
    return Math.min(1, Math.max(0, mean - Math.sqrt(Math.max(0, variance) / measurements)));
  }

  /** What the next update starts from, as part of the optimizer's state. */
  get state(): readonly [name: string, state: WeightArray] {
    return [NAME, { shape: [4], data: Float32Array.from(this.#sums) }];
  }
}
