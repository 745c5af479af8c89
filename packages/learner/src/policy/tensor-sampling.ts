import { responseLogProbs } from "../tensor/policy-loss.js";
import { sampleBatch } from "../tensor/sampler.js";
import { disposeParameters, type Parameters, uploadWeights } from "../tensor/transformer.js";
import { othersTurn } from "./others-turn.js";
import type { SamplingEngine, SamplingOptions, Waiting } from "./sampling-engine.js";

/** Samples on the TensorFlow.js backend of this thread, one batch at a time. */
export function tensorSampling({ config, base, maxBatch }: SamplingOptions): SamplingEngine {
  const frozen = base && uploadWeights(base);
  const queue: (Waiting & { readonly parameters: Parameters })[] = [];
  let sampling = false;

  /** Samples what waits, one version and one batch at a time; requests that come meanwhile wait for the next batch. */
  const drain = async () => {
    if (sampling) return;
    sampling = true;
    try {
      await othersTurn(); // requests of one moment share a batch
      while (queue.length > 0) {
        const { parameters } = queue[0]!;
        const batch = queue.filter((waiting) => waiting.parameters === parameters).slice(0, maxBatch);
        for (const waiting of batch) queue.splice(queue.indexOf(waiting), 1);
        try {
          const requests = batch.map(({ request }) => request);
          const samples = await sampleBatch(parameters, config, requests);
          batch.forEach((waiting, index) => waiting.resolve(samples[index]!));
        } catch (cause) {
          for (const waiting of batch) waiting.reject(cause);
        }
      }
    } finally {
      sampling = false;
    }
  };

  return {
    load(weights) {
      const own = uploadWeights(weights);
      const parameters = frozen === undefined ? own : new Map([...frozen, ...own]);
      return {
        sample: (request) =>
          new Promise((resolve, reject) => {
            queue.push({ request, resolve, reject, parameters });
            void drain();
          }),
        score: (rows) => responseLogProbs(parameters, config, rows),
        free: () => disposeParameters(own),
      };
    },
    dispose() {
      if (frozen !== undefined) disposeParameters(frozen);
    },
  };
}
