import type { Machine } from "../engine/machine.js";
import { batchStatistics, policyLoss, preparePolicyBatch, withReference } from "../engine/policy-loss.js";
import { createScorer } from "../engine/scorer.js";
import { createTrainable } from "../engine/trainable.js";
import { placeFrozen } from "../engine/weights.js";
import type { TransformerConfig } from "../tensor/transformer-config.js";
import type { PolicyWeights } from "../types.js";
import type { UpdateEngine } from "./policy-update.js";

/** Of what the reference says over the vocabulary, as long as an update lasts. In bytes. */
const HELD_BYTES = 2 ** 29;

/**
 * Updates on the CPU engine.
 *
 * @param base the frozen weights under adapters.
 * @param heldBytes what the reference says at more tokens than fit is computed again for each pass: the same, in bounded memory.
 */
export function engineUpdates(
  machine: Machine,
  description: string,
  config: TransformerConfig,
  base: PolicyWeights | undefined,
  heldBytes = HELD_BYTES,
): UpdateEngine {
  const frozen = base && placeFrozen(machine, base);
  return {
    description,
    open({ weights, optimizer, reference }, adam) {
      const trainable = createTrainable(machine, config, weights, adam, { optimizer, frozen: frozen?.placed });
      const learned = placeFrozen(machine, reference);
      const scorer = createScorer(machine, config, new Map([...(frozen?.placed ?? []), ...learned.placed]));
      let room = heldBytes;
      return {
        async prepare(rows, { teach }) {
          const batch = preparePolicyBatch(machine, trainable.scorer, scorer, rows, { teach, room });
          const held = batch.reference === undefined ? 0 : 4 * batch.oldLogProbs.length * config.vocab_size;
          room -= held;
          return {
            counted: new Float32Array(batch.oldLogProbs.length).fill(1),
            oldLogProbs: batch.oldLogProbs,
            ...(batch.lesson !== undefined && { lesson: batch.lesson }),
            async accumulate(options, half, term) {
              const loss = withReference(machine, scorer, batch, (reference) =>
                trainable.accumulate(policyLoss(batch, reference, options, term), half),
              );
              batch.oldKnown = true;
              return loss;
            },
            statistics: async () =>
              withReference(machine, scorer, batch, (reference) =>
                batchStatistics(machine, trainable.scorer, batch, reference),
              ),
            dispose() {
              room += held;
              batch.dispose();
            },
          };
        },
        agreement: async () => trainable.agreement(),
        step: async (learningRate, gradientClip) => trainable.step(learningRate, gradientClip),
        weights: async () => trainable.weights(),
        optimizer: async () => trainable.optimizer(),
        dispose() {
          trainable.dispose();
          scorer.free();
          learned.free();
        },
      };
    },
    dispose() {
      frozen?.free();
      machine.dispose();
    },
  };
}
