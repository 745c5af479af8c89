import * as tf from "@tensorflow/tfjs";
import type { FusedOperations } from "./fused-operations.js";
import { adamStep, addGradients } from "./webgpu-adam.js";
import { defineAttention } from "./webgpu-attention.js";
import { appendToCache, cachedAttention } from "./webgpu-cache.js";
import { defineCrossEntropyOperations } from "./webgpu-cross-entropy.js";
import { defineLayerOperations } from "./webgpu-layer.js";

/** The fused operations of the webgpu backend. Registers their kernels and gradients with TensorFlow.js. */
export function webGpuOperations(): FusedOperations {
  const { embed, rmsNorm, rotary, swiglu } = defineLayerOperations();
  const { targetLogProbs, expectedCost } = defineCrossEntropyOperations();
  const attention = defineAttention();
  return {
    embed: (ids, table) => embed({ ids, table }, {}) as tf.Tensor2D,
    rmsNorm: (x, weight, epsilon) => rmsNorm({ x, weight }, { epsilon }) as tf.Tensor2D,
    rotary: (x, cosines, sines) => rotary({ x, cosines, sines }, {}) as tf.Tensor4D,
    swiglu: (gate, up) => swiglu({ gate, up }, {}) as tf.Tensor2D,
    causalAttention: (queries, keys, values, scale) => attention({ queries, keys, values }, { scale }) as tf.Tensor4D,
    targetLogProbs: (logits, targets) => targetLogProbs({ logits, targets }, {}) as tf.Tensor1D,
    expectedCost(logits, { own, reference, teacher }) {
      const unread = tf.scalar(0); // stands where a coefficient of 0 leaves an input out
      const inputs = {
        logits,
        reference: reference?.logProbs ?? unread,
        teacher: teacher?.logProbs ?? unread,
        weights: teacher?.weights ?? unread,
      };
      const numbers = { own, fromReference: reference?.coefficient ?? 0, clip: teacher?.clip ?? 0 };
      return expectedCost(inputs, numbers) as tf.Tensor1D;
    },
    appendToCache,
    cachedAttention,
    addGradients,
    adamStep,
  };
}
