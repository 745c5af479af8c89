/** An exponential mean as plain data: the biased mean and how much weight it has seen. */
export interface RunningMean {
  readonly mean: number;
  /** 1 − β^n after n numbers; 0 before the first. */
  readonly weight: number;
}

/**
 * Takes one number in.
 *
 *   m ← β m + (1 − β) x,  w ← β w + (1 − β)
 */
export function takeIn(running: RunningMean | undefined, x: number, decay: number): RunningMean {
  const { mean, weight } = running ?? { mean: 0, weight: 0 };
  return { mean: decay * mean + (1 - decay) * x, weight: decay * weight + (1 - decay) };
}

/** The mean without the bias of its start, m / w (Adam, arXiv:1412.6980, §3); `otherwise` before the first number. */
export function meanOf(running: RunningMean | undefined, otherwise: number): number {
  return running === undefined || running.weight === 0 ? otherwise : running.mean / running.weight;
}
