import * as tf from "@tensorflow/tfjs";
import { type LoraConfig, loraName } from "./lora-config.js";
import { withGradient } from "./ops.js";

export * from "./lora-config.js";

/**
 * The product with a frozen matrix that has an adapter; undefined where it has none. The matrix gets no gradient.
 *
 *   y = x Wᵀ + u Bᵀ,  u = (α / r) x Aᵀ
 *   dx = dy W + v A,  v = (α / r) dy B        dA = vᵀ x        dB = dyᵀ u
 *
 * One operation, so that of what is as wide as y only y itself is written and kept.
 *
 * @param x [rows, in]
 * @param weight W. [out, in]
 * @returns [rows, out]
 */
export function adapted(
  parameters: ReadonlyMap<string, tf.Tensor>,
  lora: LoraConfig | undefined,
  x: tf.Tensor2D,
  weight: tf.Tensor2D,
  module: string,
): tf.Tensor2D | undefined {
  const down = parameters.get(loraName(module, "A"));
  if (lora === undefined || down === undefined) return undefined;
  const scale = lora.lora_alpha / lora.r;
  return withGradient([x, down, parameters.get(loraName(module, "B"))!], (inputs) => {
    const [x, down, up] = inputs as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D];
    const u = tf.mul(tf.matMul(x, down, false, true), scale) as tf.Tensor2D; // [rows, r]
    const gradient = (dy: tf.Tensor, saved: readonly tf.Tensor[]) => {
      const [x, down, up, u, weight] = saved as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D, tf.Tensor2D, tf.Tensor2D];
      const v = tf.mul(tf.matMul(dy as tf.Tensor2D, up), scale) as tf.Tensor2D; // [rows, r]
      const dx = tf.add(tf.matMul(dy as tf.Tensor2D, weight), tf.matMul(v, down));
      return [dx, tf.matMul(v, x, true, false), tf.matMul(dy as tf.Tensor2D, u, true, false)];
    };
    const value = tf.add(tf.matMul(x, weight, false, true), tf.matMul(u, up, false, true));
    return { value, saved: [x, down, up, u, weight], gradient };
  });
}
