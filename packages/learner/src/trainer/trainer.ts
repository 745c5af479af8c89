import { AgentError } from "@afterstate/core";
import { openBackend } from "../tensor/backend.js";
import { batchStatistics, type PolicyBatch, policyLoss, preparePolicyBatch } from "../tensor/policy-loss.js";
import { createTrainable } from "../tensor/trainable.js";
import {
  assertWeightsFit,
  disposeParameters,
  type Parameters as ModelParameters,
  type TransformerConfig,
  uploadWeights,
} from "../tensor/transformer.js";
import type { PolicyTrainer, PolicyWeights, TrainingSample, UpdateRequest, UpdateResult } from "../types.js";
import { SignalShare } from "./signal-share.js";

/** AdamW as in PPO practice; no weight decay, so that what is not touched stays. */
const ADAM = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0 };
/** Rows of one forward and backward pass. */
const MICRO_BATCH = 16;

/**
 * A trainer on the tensor backend of this thread. An update is a function of its request alone.
 *
 * @param base the frozen weights under the adapters, for a config with `lora`; not needed otherwise.
 */
export async function createTrainer(config: TransformerConfig, base?: PolicyWeights): Promise<PolicyTrainer> {
  const backend = await openBackend();
  const frozen = config.lora === undefined ? undefined : uploadWeights(requireBase(config, base));
  return {
    backend: backend.description,
    update: (request) => update(config, frozen, request),
    dispose: async () => {
      if (frozen !== undefined) disposeParameters(frozen);
    },
  };
}

function requireBase(config: TransformerConfig, base: PolicyWeights | undefined): PolicyWeights {
  if (base === undefined) {
    throw new AgentError(
      "lora/no-base",
      "adapters are trained over frozen weights; give them to the trainer as `base`",
    );
  }
  assertWeightsFit(config, base);
  return base;
}

/**
 * One update: old, reference and teacher log-probabilities first, then `epochs` passes over the samples with {@link policyLoss}.
 */
async function update(
  config: TransformerConfig,
  frozen: ModelParameters | undefined,
  request: UpdateRequest,
): Promise<UpdateResult> {
  const { options } = request;
  const started = performance.now();
  const trainable = createTrainable(request.weights, ADAM, { optimizer: request.optimizer, frozen });
  const learnedReference = uploadWeights(request.reference);
  const reference = frozen === undefined ? learnedReference : new Map([...frozen, ...learnedReference]);
  const batches: HalfBatch[] = [];
  try {
    for (const { half, rows } of inBatches(request.samples)) {
      const teach = options.distillationWeight > 0;
      batches.push({ half, batch: await preparePolicyBatch(trainable.parameters, reference, config, rows, { teach }) });
    }
    const share = new SignalShare(request.optimizer);
    let [loss, gradientNorm, steps] = [0, 0, 0];
    for (let epoch = 0; epoch < options.epochs; epoch++) {
      let epochLoss = 0;
      for (const { half, batch } of batches) {
        const denominator = options.lossDenominator;
        epochLoss += await trainable.accumulate(policyLoss(config, batch, { ...options, denominator }), half);
      }
      if (!Number.isFinite(epochLoss)) {
        throw new AgentError(
          "learner/non-finite-loss",
          `the loss of epoch ${epoch + 1} is ${epochLoss}; the update is dropped and the policy stays as it is`,
        );
      }
      // Later epochs see the same samples: only the first tells how far the halves agree.
      if (epoch === 0) share.add(await trainable.agreement());
      const learningRate = options.learningRate * (options.stepSize === "noise-scale" ? share.value : 1);
      gradientNorm += await trainable.step(learningRate, options.gradientClip);
      loss += epochLoss;
      steps += 1;
    }
    const drift = await driftOf(config, batches, trainable.parameters, options);
    return {
      weights: await trainable.weights(),
      optimizer: new Map([...(await trainable.optimizer()), share.state]),
      metrics: {
        loss: loss / Math.max(1, steps),
        gradientNorm: gradientNorm / Math.max(1, steps),
        signalShare: share.value,
        ...drift,
        teacherDelta: teacherDelta(batches),
        seconds: (performance.now() - started) / 1000,
      },
    };
  } finally {
    trainable.dispose();
    disposeParameters(learnedReference);
    for (const { batch } of batches) batch.dispose();
  }
}

interface HalfBatch {
  readonly half: 0 | 1;
  readonly batch: PolicyBatch;
}

/** How far the update moved the policy, over the sampled tokens: from where it was (ratio) and from the reference (KL). */
async function driftOf(
  config: TransformerConfig,
  batches: readonly HalfBatch[],
  parameters: ModelParameters,
  { clipLow, clipHigh }: UpdateRequest["options"],
): Promise<Record<string, number>> {
  let [tokens, kl, entropy, clipped, ratioMax] = [0, 0, 0, 0, 0];
  for (const { batch } of batches) {
    const now = await batchStatistics(parameters, config, batch);
    batch.counted.forEach((counts, at) => {
      if (counts === 0) return;
      const ratio = Math.exp(now.logProbs[at]! - batch.oldLogProbs[at]!);
      tokens += 1;
      kl += now.kl[at]!;
      entropy += now.entropy[at]!;
      clipped += ratio < 1 - clipLow || ratio > 1 + clipHigh ? 1 : 0;
      ratioMax = Math.max(ratioMax, ratio);
    });
  }
  const mean = (sum: number) => sum / Math.max(1, tokens);
  return { tokens, kl: mean(kl), entropy: mean(entropy), clipFraction: mean(clipped), importanceRatioMax: ratioMax };
}

/** Mean of log π_teacher − log π_old over the sampled tokens of hinted steps. */
function teacherDelta(batches: readonly HalfBatch[]): number {
  let [sum, tokens] = [0, 0];
  for (const { batch } of batches) {
    batch.lesson?.weight.forEach((weight, at) => {
      if (weight === 0) return;
      sum += batch.lesson!.delta[at]!;
      tokens += 1;
    });
  }
  return sum / Math.max(1, tokens);
}

/**
 * Micro-batches of similar length, for little padding, of one half of the samples each. The halves share no episode: steps of
 * one episode share their fate.
 */
function inBatches(samples: readonly TrainingSample[]) {
  const episodes = [...new Set(samples.map(({ of }) => of.episodeId))].sort();
  const halfOf = new Map(episodes.map((episodeId, index) => [episodeId, (index % 2) as 0 | 1]));
  const length = ({ tokens }: TrainingSample) => tokens.promptIds.length + tokens.ids.length;
  return ([0, 1] as const).flatMap((half) => {
    const rows = samples
      .filter(({ of }) => halfOf.get(of.episodeId) === half)
      .sort((a, b) => length(a) - length(b))
      .map(({ tokens, ...rest }) => ({ ...tokens, ...rest }));
    return Array.from({ length: Math.ceil(rows.length / MICRO_BATCH) }, (_, i) => ({
      half,
      rows: rows.slice(i * MICRO_BATCH, (i + 1) * MICRO_BATCH),
    }));
  });
}
