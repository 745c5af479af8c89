import { AgentError } from "@afterstate/core";
import { type AdamOptions, assertOptimizerFits, isDecayed } from "../tensor/adam.js";
import type { GradientAgreement } from "../tensor/trainable.js";
import type { TransformerConfig } from "../tensor/transformer-config.js";
import type { PolicyWeights, WeightArray } from "../types.js";
import { backwardPass, chooseKeep, forwardPass } from "./forward-pass.js";
import type { Machine } from "./machine.js";
import type { Model } from "./model.js";
import type { PackedTokens, SelectedRows } from "./packed-tokens.js";
import { openRotaryTable } from "./rotary-table.js";
import { type ScoreRows, scoreRows } from "./score-rows.js";
import { createScorer, type Scorer } from "./scorer.js";
import { fillBlock, type LearnedLayout, layOut, type Placed, type PlacedWeights } from "./weights.js";

/** A loss that is a sum over rows. */
export interface RowLoss {
  readonly tokens: PackedTokens;
  /** Rows with a loss; the others have none and no gradient. */
  readonly selected: SelectedRows;
  /** Turns the scores of some selected rows into the loss's gradient by them. @returns the loss of these rows. */
  readonly gradient: (machine: Machine, model: Model, part: ScoreRows) => number;
}

/** Weights under training in an engine, with the moments of AdamW. Owns its blocks. */
export interface Trainable {
  /** Scores under the weights as they are now. */
  readonly scorer: Scorer;
  /** Adds the gradient of `loss` to the accumulated one, as part of one half of the batch. @returns the loss. */
  accumulate(loss: RowLoss, half?: 0 | 1): number;
  /** How far the halves agree on the accumulated gradient; undefined while one of them has none. */
  agreement(): GradientAgreement | undefined;
  /**
   * One step on the accumulated gradient, clipped to the global norm, and starts over.
   * @returns the norm before clipping.
   * @throws AgentError `learner/non-finite-loss` when it is not finite; the weights are as before then.
   */
  step(learningRate: number, gradientClip: number): number;
  weights(): PolicyWeights;
  /** Moments under `<weight>.exp_avg` and `<weight>.exp_avg_sq`, and `step` [1]. */
  optimizer(): PolicyWeights;
  dispose(): void;
}

/** How weights are trained. */
export interface TrainableOptions {
  readonly optimizer?: PolicyWeights | undefined;
  /** The weights under the adapters; the caller frees them. */
  readonly frozen?: PlacedWeights | undefined;
  /** Bytes that activations may take before layers are computed again in the backward pass. */
  readonly activationBytes?: number;
}

const ACTIVATION_BYTES = 1.5 * 2 ** 30;

/**
 * Makes weights trainable: what tensor/trainable.ts computes, in place.
 *
 *   m ← β₁m + (1 − β₁)g        v ← β₂v + (1 − β₂)g²
 *   w ← w − η (m̂ / (√v̂ + ε) + λw),  m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ),  λ = 0 on norms and biases
 *
 * @throws CheckpointError `checkpoint/mismatch` when the optimizer's state is that of other weights.
 */
export function createTrainable(
  machine: Machine,
  config: TransformerConfig,
  initial: PolicyWeights,
  adam: AdamOptions,
  { optimizer, frozen, activationBytes = ACTIVATION_BYTES }: TrainableOptions = {},
): Trainable {
  assertOptimizerFits(initial, optimizer);
  const { arena, kernels } = machine;
  const layout = layOut(initial);
  const { offsets, length } = layout;
  const block = () => arena.allocate(length);
  const [learned, mean, variance] = [block(), block(), block()];
  /** Gradients of each half of the batch; undefined until it has one. */
  const halves: [number | undefined, number | undefined] = [undefined, undefined];
  fillBlock(machine, layout, learned, (name) => initial.get(name)!.data);
  fillBlock(machine, layout, mean, (name) => optimizer?.get(`${name}.exp_avg`)?.data);
  fillBlock(machine, layout, variance, (name) => optimizer?.get(`${name}.exp_avg_sq`)?.data);
  let time = optimizer?.get("step")?.data[0] ?? 0;

  const own = [...initial].map(([name, { data }]): readonly [string, Placed] => {
    const offset = offsets.get(name)!;
    const address = learned + offset * 4;
    return [name, { ...machine.matrix(arena.view(address, data.length), address), learned: offset }];
  });
  const scorer = createScorer(machine, config, new Map([...(frozen ?? []), ...own]));
  const { model } = scorer;
  const runs = runsOfDecay(initial, layout, adam.weightDecay);
  const table = openRotaryTable(arena, config);

  const read = (block: number, suffix: string): [string, WeightArray][] =>
    [...initial].map(([name, { shape, data }]) => [
      name + suffix,
      { shape, data: arena.view(block + offsets.get(name)! * 4, data.length).slice() },
    ]);
  const dropGradient = () => {
    for (const half of halves) if (half !== undefined) arena.free(half);
    halves.fill(undefined);
  };

  return {
    scorer,

    accumulate({ tokens, selected, gradient }, half = 0) {
      if (halves[half] === undefined) {
        halves[half] = block();
        arena.view(halves[half], length).fill(0);
      }
      if (selected.rows.length === 0) return 0;
      const gradients = halves[half];
      table.reach(tokens.longest);
      return arena.pass(() => {
        const pass = forwardPass(machine, model, table, tokens, chooseKeep(model, tokens, activationBytes));
        const dx = arena.take(tokens.rows * model.hidden);
        let loss = 0;
        const use = (part: ScoreRows) => arena.scope(() => (loss += gradient(machine, model, part)));
        scoreRows(machine, model, pass.streams.at(-1)!, tokens.rows, selected, use, { dx, gradients });
        backwardPass(machine, model, pass, dx, gradients);
        return loss;
      });
    },

    agreement() {
      const [first, second] = halves;
      if (first === undefined || second === undefined) return undefined;
      const dot = kernels.dot(first, second, length);
      const squares = kernels.dot(first, first, length) + kernels.dot(second, second, length);
      return { signal: 4 * dot, power: squares + 2 * dot };
    },

    step(learningRate, gradientClip) {
      const given = halves.filter((half) => half !== undefined);
      if (given.length === 0) throw new AgentError("learner/no-gradient", "step() was called before accumulate()");
      const gradient = given[0]!;
      if (given[1] !== undefined) kernels.addTo(gradient, given[1], length);
      const norm = Math.sqrt(kernels.dot(gradient, gradient, length));
      if (!Number.isFinite(norm)) {
        dropGradient();
        throw new AgentError(
          "learner/non-finite-loss",
          `the gradient's norm is ${norm}; the update is dropped and the weights are as before`,
        );
      }
      time += 1;
      const { beta1, beta2, epsilon } = adam;
      for (const { from, count, decay } of runs) {
        kernels.adamw(
          learned + from * 4,
          gradient + from * 4,
          mean + from * 4,
          variance + from * 4,
          norm > gradientClip ? gradientClip / norm : 1,
          learningRate,
          beta1,
          beta2,
          1 / (1 - beta1 ** time),
          1 / (1 - beta2 ** time),
          epsilon,
          decay,
          count,
        );
      }
      dropGradient();
      return norm;
    },

    weights: () => new Map(read(learned, "")),

    optimizer: () =>
      new Map([
        ...read(mean, ".exp_avg"),
        ...read(variance, ".exp_avg_sq"),
        ["step", { shape: [1], data: new Float32Array([time]) }],
      ]),

    dispose() {
      dropGradient();
      for (const address of [learned, mean, variance]) arena.free(address);
      table.free();
      scorer.free();
    },
  };
}

/** Stretches of a block in which all weights decay alike. In floats. */
function runsOfDecay(weights: PolicyWeights, { offsets, length }: LearnedLayout, weightDecay: number) {
  const runs: { from: number; count: number; decay: number }[] = [];
  for (const [name, from] of offsets) {
    const decay = isDecayed(weights.get(name)!.shape) ? weightDecay : 0;
    if (runs.at(-1)?.decay !== decay) runs.push({ from, count: 0, decay });
  }
  runs.forEach((run, index) => {
    run.count = (runs[index + 1]?.from ?? length) - run.from;
  });
  return runs;
}
