import { batchStatistics, policyLoss, preparePolicyBatch, referenceLogProbs } from "../tensor/policy-loss.js";
import { createTrainable } from "../tensor/trainable.js";
import { disposeParameters, type TransformerConfig, uploadWeights } from "../tensor/transformer.js";
import type { PolicyWeights } from "../types.js";
import type { UpdateEngine } from "./policy-update.js";

/** Updates on the TensorFlow.js backend of this thread. @param base the frozen weights under adapters. */
export function tensorUpdates(
  description: string,
  config: TransformerConfig,
  base: PolicyWeights | undefined,
): UpdateEngine {
  const frozen = base && uploadWeights(base);
  return {
    description,
    open({ weights, optimizer, reference }, adam) {
      const trainable = createTrainable(weights, adam, { optimizer, frozen });
      const learned = uploadWeights(reference);
      const parameters = frozen === undefined ? learned : new Map([...frozen, ...learned]);
      return {
        async prepare(rows, { teacher }) {
          const batch = await preparePolicyBatch(trainable.parameters, parameters, config, rows, { teacher });
          return {
            counted: batch.counted,
            oldLogProbs: batch.oldLogProbs,
            ...(batch.lesson !== undefined && { lesson: batch.lesson }),
            accumulate: (options, half, term) => trainable.accumulate(policyLoss(config, batch, options, term), half),
            referenceLogProbs: () => referenceLogProbs(batch),
            statistics: () => batchStatistics(trainable.parameters, config, batch),
            dispose: batch.dispose,
          };
        },
        agreement: () => trainable.agreement(),
        step: (learningRate, gradientClip) => trainable.step(learningRate, gradientClip),
        weights: () => trainable.weights(),
        optimizer: () => trainable.optimizer(),
        dispose() {
          trainable.dispose();
          disposeParameters(learned);
        },
      };
    },
    dispose() {
      if (frozen !== undefined) disposeParameters(frozen);
    },
  };
}
