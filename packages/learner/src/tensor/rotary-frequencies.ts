/** How rotary angles are slowed down. Names are those of Hugging Face's `rope_scaling`. */
export type RopeScaling =
  | { readonly rope_type: "linear"; readonly factor: number }
  | {
      readonly rope_type: "llama3";
      readonly factor: number;
      readonly low_freq_factor: number;
      readonly high_freq_factor: number;
      readonly original_max_position_embeddings: number;
    };

/**
 * Radians per position of each pair of a head.
 *
 *   ω_j = θ^(−2j/headDim)                                    arXiv:2104.09864, Eq. 15
 *   linear:  ω_j / s                                          arXiv:2306.15595, Eq. 4
 *   llama3:  (1 − t) ω_j / s + t ω_j,  t = clip((r_j − low) / (high − low), 0, 1),
 *            r_j = L ω_j / 2π: the turns of pair j over the context L of the first training (arXiv:2407.21783; code of Llama 3.1)
 *
 * @returns [headDim / 2]
 */
export function rotaryFrequencies(theta: number, headDim: number, scaling?: RopeScaling): Float64Array {
  return Float64Array.from({ length: headDim / 2 }, (_, j) => {
    const plain = theta ** ((-2 * j) / headDim);
    if (scaling === undefined) return plain;
    const slow = plain / scaling.factor;
    if (scaling.rope_type === "linear") return slow;
    const { low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: context } = scaling;
    const turns = (context * plain) / (2 * Math.PI);
    const t = Math.min(1, Math.max(0, (turns - low) / (high - low)));
    return (1 - t) * slow + t * plain;
  });
}
