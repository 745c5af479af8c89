import * as tf from "@tensorflow/tfjs";
import { type LoraConfig, loraName } from "./lora-config.js";

export * from "./lora-config.js";

/**
 * What the adapter of a matrix adds; undefined where it has none.
 *
 *   Δy = (α / r) (x Aᵀ) Bᵀ
 *
 * @param x [rows, in]
 * @returns [rows, out]
 */
export function adapted(
  parameters: ReadonlyMap<string, tf.Tensor>,
  lora: LoraConfig | undefined,
  x: tf.Tensor2D,
  module: string,
): tf.Tensor2D | undefined {
  const down = parameters.get(loraName(module, "A")) as tf.Tensor2D | undefined;
  if (lora === undefined || down === undefined) return undefined;
  const up = parameters.get(loraName(module, "B")) as tf.Tensor2D;
  return tf.mul(tf.matMul(tf.matMul(x, down, false, true), up, false, true), lora.lora_alpha / lora.r);
}
