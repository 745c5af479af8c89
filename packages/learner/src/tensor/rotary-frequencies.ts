/** How rotary angles are slowed down. Names are those of Hugging Face's `rope_scaling`. */
export type RopeScaling =
  | { readonly rope_type: "linear"; readonly factor: number }
  | {
      readonly rope_type: "llama3";
      readonly factor: number;
      readonly low_freq_factor: number;
      readonly high_freq_factor: number;
      readonly original_max_position_embeddings: number;
    }
  | {
      readonly rope_type: "yarn";
      readonly factor: number;
      readonly original_max_position_embeddings: number;
      readonly beta_fast: number;
      readonly beta_slow: number;
      /** What cosines and sines are multiplied by. */
      readonly attention_factor: number;
    };

/**
 * Radians per position of each pair of a head.
 *
 *   ω_j = θ^(−2j/headDim)                                    arXiv:2104.09864, Eq. 15
 *   linear:  ω_j / s                                          arXiv:2306.15595, Eq. 4
 *   llama3:  (1 − t) ω_j / s + t ω_j,  t = clip((r_j − low) / (high − low), 0, 1),
 *            r_j = L ω_j / 2π: the turns of pair j over the context L of the first training (arXiv:2407.21783; code of Llama 3.1)
 *   yarn:    γ_j ω_j / s + (1 − γ_j) ω_j,  γ_j = clip((j − a) / (b − a), 0, 1),  a = ⌊d(β_fast)⌋, b = ⌈d(β_slow)⌉,
 *            d(r) = headDim ln(L / 2πr) / (2 ln θ): the pair that turns r times over L      arXiv:2309.00071, §3.2
 * Differs from the paper: yarn blends linearly in j, between whole pairs, as its authors' code does.
 *
 * @returns [headDim / 2]
 */
export function rotaryFrequencies(theta: number, headDim: number, scaling?: RopeScaling): Float64Array {
  return Float64Array.from({ length: headDim / 2 }, (_, j) => {
    const plain = theta ** ((-2 * j) / headDim);
    if (scaling === undefined) return plain;
    const slow = plain / scaling.factor;
    if (scaling.rope_type === "linear") return slow;
    if (scaling.rope_type === "yarn") {
      const { beta_fast, beta_slow, original_max_position_embeddings: context } = scaling;
      const pairOf = (turns: number) => (headDim * Math.log(context / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
      const from = Math.max(0, Math.floor(pairOf(beta_fast)));
      const to = Math.min(headDim - 1, Math.ceil(pairOf(beta_slow)));
      const gamma = Math.min(1, Math.max(0, (j - from) / (to === from ? 0.001 : to - from)));
      return gamma * slow + (1 - gamma) * plain;
    }
    const { low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: context } = scaling;
    const turns = (context * plain) / (2 * Math.PI);
    const t = Math.min(1, Math.max(0, (turns - low) / (high - low)));
    return (1 - t) * slow + t * plain;
  });
}

/** What cosines and sines of rotary angles are multiplied by: 1 but for YaRN, which sharpens attention (arXiv:2309.00071, §3.4). */
export function rotaryMagnitude(scaling?: RopeScaling): number {
  return scaling?.rope_type === "yarn" ? scaling.attention_factor : 1;
}

/** Turns over the first context from which on, and up to which, YaRN keeps a pair and slows it down: what it takes where nothing is said. */
export const YARN_TURNS = { beta_fast: 32, beta_slow: 1 } as const;

/** YaRN's own choice of `attention_factor`: 0.1 ln s + 1 for a factor s above 1. */
export function yarnAttentionFactor(factor: number, weight = 1): number {
  return factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1;
}
