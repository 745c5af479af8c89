import { AgentError } from "@afterstate/core";
import { openBackend } from "../tensor/backend.js";
import { type PolicyLossRow, policyLoss, responseLogProbs, responseStatistics } from "../tensor/policy-loss.js";
import { createTrainable } from "../tensor/trainable.js";
import {
  disposeParameters,
  type Parameters as ModelParameters,
  type TransformerConfig,
  uploadWeights,
} from "../tensor/transformer.js";
import type { PolicyTrainer, TrainingSample, UpdateRequest, UpdateResult } from "../types.js";

/** AdamW as in PPO practice; no weight decay, so that what is not touched stays. */
const ADAM = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0 };
/** Rows of one forward and backward pass. */
const MICRO_BATCH = 16;

/** A trainer on the tensor backend of this thread. An update is a function of its request alone. */
export async function createTrainer(config: TransformerConfig): Promise<PolicyTrainer> {
  const backend = await openBackend();
  return {
    backend: backend.description,
    update: (request) => update(config, request),
    dispose: async () => {},
  };
}

/**
 * One update: old, reference and teacher log-probabilities first, then `epochs` passes over the samples.
 *
 *   Â_t = Â_t(credit) + w · clip(log π_teacher(a_t | s + hint) − log π_old(a_t | s), ±c)     for hinted steps
 *
 * The teacher is the policy itself, seeing the hint (token-level hindsight distillation).
 */
async function update(config: TransformerConfig, request: UpdateRequest): Promise<UpdateResult> {
  const { options } = request;
  const length = ({ tokens }: TrainingSample) => tokens.promptIds.length + tokens.ids.length;
  const samples = [...request.samples].sort((a, b) => length(a) - length(b)); // little padding in each batch
  const started = performance.now();
  const trainable = createTrainable(request.weights, ADAM, request.optimizer);
  const reference = uploadWeights(request.reference);
  try {
    const rows = await prepareRows(config, { ...request, samples }, trainable.parameters, reference);
    let [loss, gradientNorm, steps] = [0, 0, 0];
    for (let epoch = 0; epoch < options.epochs; epoch++) {
      let epochLoss = 0;
      for (const batch of inBatches(rows)) {
        const denominator = options.lossDenominator;
        epochLoss += await trainable.accumulate(policyLoss(config, batch, { ...options, denominator }));
      }
      if (!Number.isFinite(epochLoss)) {
        throw new AgentError(
          "learner/non-finite-loss",
          `the loss of epoch ${epoch + 1} is ${epochLoss}; the update is dropped and the policy stays as it is`,
        );
      }
      gradientNorm += await trainable.step(options.learningRate, options.gradientClip);
      loss += epochLoss;
      steps += 1;
    }
    const drift = await driftOf(config, rows, trainable.parameters, reference, options);
    return {
      weights: await trainable.weights(),
      optimizer: await trainable.optimizer(),
      metrics: {
        loss: loss / Math.max(1, steps),
        gradientNorm: gradientNorm / Math.max(1, steps),
        ...drift,
        teacherDelta: teacherDelta(samples, rows),
        seconds: (performance.now() - started) / 1000,
      },
    };
  } finally {
    trainable.dispose();
    disposeParameters(reference);
  }
}

type PreparedRow = PolicyLossRow & { readonly meanTeacherDelta: number };

async function prepareRows(
  config: TransformerConfig,
  { samples, options }: UpdateRequest,
  parameters: ModelParameters,
  reference: ModelParameters,
): Promise<readonly PreparedRow[]> {
  const teach = options.distillationWeight > 0;
  const old = await logProbsOf(config, parameters, samples);
  const referenceLogProbs = await logProbsOf(config, reference, samples);
  const taught = teach ? samples.filter(({ teacherPromptIds }) => teacherPromptIds !== undefined) : [];
  const teacher = new Map<TrainingSample, readonly number[]>();
  const teacherLogProbs = await logProbsOf(config, parameters, taught, ({ teacherPromptIds }) => teacherPromptIds!);
  taught.forEach((sample, index) => teacher.set(sample, teacherLogProbs[index]!));
  return samples.map((sample, index) => {
    const { tokens } = sample;
    const teacherOf = teacher.get(sample);
    const deltas = tokens.ids.map((_, t) =>
      teacherOf === undefined ? 0 : clamp(teacherOf[t]! - old[index]![t]!, options.distillationClip),
    );
    return {
      promptIds: tokens.promptIds,
      ids: tokens.ids,
      mask: tokens.mask,
      temperature: tokens.temperature,
      advantages: sample.advantages.map((advantage, t) => advantage + options.distillationWeight * deltas[t]!),
      oldLogProbs: old[index]!,
      referenceLogProbs: referenceLogProbs[index]!,
      meanTeacherDelta: deltas.reduce((sum, delta) => sum + delta, 0) / Math.max(1, deltas.length),
    };
  });
}

async function logProbsOf(
  config: TransformerConfig,
  parameters: ModelParameters,
  samples: readonly TrainingSample[],
  promptOf: (sample: TrainingSample) => readonly number[] = ({ tokens }) => tokens.promptIds,
): Promise<readonly (readonly number[])[]> {
  const result: (readonly number[])[] = [];
  for (const batch of inBatches(samples)) {
    const rows = batch.map((sample) => ({ ...sample.tokens, promptIds: promptOf(sample) }));
    result.push(...(await responseLogProbs(parameters, config, rows)));
  }
  return result;
}

/** How far the update moved the policy, over the sampled tokens: from where it was (ratio) and from the reference (KL). */
async function driftOf(
  config: TransformerConfig,
  rows: readonly PreparedRow[],
  parameters: ModelParameters,
  reference: ModelParameters,
  { clipLow, clipHigh }: UpdateRequest["options"],
): Promise<Record<string, number>> {
  let [tokens, kl, entropy, clipped, ratioMax] = [0, 0, 0, 0, 0];
  for (const batch of inBatches(rows)) {
    const logProbs = await responseLogProbs(parameters, config, batch);
    const statistics = await responseStatistics(parameters, reference, config, batch);
    batch.forEach((row, index) => {
      row.mask.forEach((mask, t) => {
        if (mask !== 1) return;
        const ratio = Math.exp(logProbs[index]![t]! - row.oldLogProbs[t]!);
        tokens += 1;
        kl += statistics.kl[index]![t]!;
        entropy += statistics.entropy[index]![t]!;
        clipped += ratio < 1 - clipLow || ratio > 1 + clipHigh ? 1 : 0;
        ratioMax = Math.max(ratioMax, ratio);
      });
    });
  }
  const mean = (sum: number) => sum / Math.max(1, tokens);
  return { tokens, kl: mean(kl), entropy: mean(entropy), clipFraction: mean(clipped), importanceRatioMax: ratioMax };
}

function teacherDelta(samples: readonly TrainingSample[], rows: readonly PreparedRow[]): number {
  const taught = rows.filter((_, index) => samples[index]!.teacherPromptIds !== undefined);
  return taught.reduce((sum, row) => sum + row.meanTeacherDelta, 0) / Math.max(1, taught.length);
}

function inBatches<T>(items: readonly T[]): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(items.length / MICRO_BATCH) }, (_, i) =>
    items.slice(i * MICRO_BATCH, (i + 1) * MICRO_BATCH),
  );
}

const clamp = (value: number, limit: number) => Math.max(-limit, Math.min(limit, value));
