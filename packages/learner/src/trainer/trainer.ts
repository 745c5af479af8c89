import { AgentError } from "@afterstate/core";
import { type Machine, openMachine } from "../engine/machine.js";
import { TRUNCATED_BY_TOKEN } from "../objectives/off-policy.js";
import { openBackend } from "../tensor/backend.js";
import { assertWeightsFit, type TransformerConfig } from "../tensor/transformer-config.js";
import type { PolicyTrainer, PolicyWeights, UpdateRequest, UpdateResult } from "../types.js";
import { correctStale } from "./behaviour-correction.js";
import { engineUpdates } from "./engine-update.js";
import { microBatches, tokenBudget } from "./micro-batches.js";
import { objectiveTerms, type SampledBatch } from "./objective-terms.js";
import { openPace, type Pace } from "./pace.js";
import type { UpdateEngine } from "./policy-update.js";
import { scheduledShare } from "./scheduled-share.js";
import { SignalShare } from "./signal-share.js";
import { tensorUpdates } from "./tensor-update.js";
import { confineStep } from "./trust-region.js";

/** AdamW as in PPO practice. */
const ADAM = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8 };

/**
 * A trainer on the backend of this thread: the CPU engine, or TensorFlow.js. An update is a function of its request alone.
 *
 * @param base the frozen weights under the adapters, for a config with `lora`; not needed otherwise.
 * @param machine what the CPU engine computes on, disposed with the trainer. Default: one of its own.
 * @param pace what holds updates between their passes. Default: one of this thread.
 */
export async function createTrainer(
  config: TransformerConfig,
  base?: PolicyWeights,
  machine?: Machine,
  pace: Pace = openPace(),
): Promise<PolicyTrainer> {
  const frozen = config.lora === undefined ? undefined : requireBase(config, base);
  const backend = await openBackend();
  const engine =
    backend.name === "wasm"
      ? engineUpdatesOn(machine ?? openMachine(backend), backend.description, config, frozen)
      : tensorUpdates(backend.description, config, frozen);
  return {
    backend: engine.description,
    update: (request) => confinedUpdate(engine, request, tokenBudget(config), pace),
    hold: (held) => pace.hold(held),
    dispose: async () => engine.dispose(),
  };
}

/** With BLAS the number of threads decides how products are cut, and with that how sums are rounded: it is part of the description. */
function engineUpdatesOn(
  machine: Machine,
  description: string,
  config: TransformerConfig,
  frozen: PolicyWeights | undefined,
): UpdateEngine {
  return engineUpdates(machine, `${description}, ${machine.lanes} threads`, config, frozen);
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

/** One update, shortened to its trust region where it has one. */
async function confinedUpdate(
  engine: UpdateEngine,
  request: UpdateRequest,
  maxTokens: number,
  pace: Pace,
): Promise<UpdateResult> {
  const result = await update(engine, request, maxTokens, pace);
  if (request.trustRegion === undefined) return result;
  const step = { from: request.weights, to: result.weights };
  const { weights, numbers } = await confineStep(engine, adamOf(request), request.trustRegion, step, maxTokens);
  return { ...result, weights, metrics: { ...result.metrics, ...numbers } };
}

/**
 * One update: old, reference and teacher log-probabilities first, then `epochs` passes over the samples with {@link policyLoss}.
 */
async function update(
  engine: UpdateEngine,
  request: UpdateRequest,
  maxTokens: number,
  pace: Pace,
): Promise<UpdateResult> {
  const { options } = request;
  const { schedule, offPolicy = TRUNCATED_BY_TOKEN } = options;
  const started = performance.now();
  const weights = engine.open(request, adamOf(request));
  const stepsBefore = request.optimizer?.get("step")?.data[0] ?? 0;
  const batches: HalfBatch[] = [];
  try {
    // An objective has a correction of its own.
    const version = options.objective === undefined ? request.version : undefined;
    const corrected = await correctStale(weights, request.samples, version, offPolicy, maxTokens);
    for (const { half, samples } of microBatches(corrected.samples, maxTokens)) {
      await pace.passed();
      const rows = samples.map(({ tokens, ...rest }) => ({ ...tokens, ...rest }));
      batches.push({ half, samples, batch: await weights.prepare(rows, { teach: options.distillationWeight > 0 }) });
    }
    const share = new SignalShare(request.optimizer);
    let [loss, gradientNorm, steps] = [0, 0, 0];
    for (let epoch = 0; epoch < options.epochs; epoch++) {
      const denominator = options.lossDenominator;
      const evaluated =
        options.objective && (await objectiveTerms(batches, options.objective, denominator, epoch === 0));
      let epochLoss = evaluated?.loss ?? 0;
      for (const [i, { half, batch }] of batches.entries()) {
        await pace.passed();
        epochLoss += await batch.accumulate({ ...options, denominator }, half, evaluated?.terms[i]);
      }
      if (!Number.isFinite(epochLoss)) {
        throw new AgentError(
          "learner/non-finite-loss",
          `the loss of epoch ${epoch + 1} is ${epochLoss}; the update is dropped and the policy stays as it is`,
        );
      }
      // Later epochs see the same samples: only the first tells how far the halves agree.
      if (epoch === 0) share.add(await weights.agreement());
      const scheduled = schedule === undefined ? 1 : scheduledShare(schedule, stepsBefore + steps);
      const worth = options.stepSize === "noise-scale" ? share.value : 1;
      gradientNorm += await weights.step(options.learningRate * scheduled * worth, options.gradientClip);
      loss += epochLoss;
      steps += 1;
    }
    const drift = await driftOf(batches, options);
    return {
      weights: await weights.weights(),
      optimizer: new Map([...(await weights.optimizer()), share.state]),
      metrics: {
        loss: loss / Math.max(1, steps),
        gradientNorm: gradientNorm / Math.max(1, steps),
        signalShare: share.value,
        ...drift,
        ...corrected.numbers,
        teacherDelta: teacherDelta(batches),
        seconds: (performance.now() - started) / 1000,
      },
    };
  } finally {
    for (const { batch } of batches) batch.dispose();
    weights.dispose();
  }
}

function adamOf({ options: { weightDecay = 0 } }: UpdateRequest) {
  return { ...ADAM, weightDecay };
}

interface HalfBatch extends SampledBatch {
  readonly half: 0 | 1;
}

/** How far the update moved the policy, over the sampled tokens: from where it was (ratio) and from the reference (KL). */
async function driftOf(
  batches: readonly HalfBatch[],
  { clipLow, clipHigh }: UpdateRequest["options"],
): Promise<Record<string, number>> {
  let [tokens, kl, entropy, clipped, ratioMax] = [0, 0, 0, 0, 0];
  for (const { batch } of batches) {
    const now = await batch.statistics();
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
