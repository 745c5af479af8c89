import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openBackend } from "../tensor/backend.js";
import { supervisedLoss as tensorLoss } from "../tensor/supervised-loss.js";
import { createTrainable as createTensorTrainable } from "../tensor/trainable.js";
import { uploadWeights } from "../tensor/transformer.js";
import { ARCHITECTURES, drawnWeights } from "../testing/engine-cases.js";
import { TINY_CONFIG } from "../testing/tiny-config.js";
import type { PolicyWeights } from "../types.js";
import { type Machine, openMachine } from "./machine.js";
import { supervisedLoss } from "./supervised-loss.js";
import { createTrainable } from "./trainable.js";
import { placeFrozen } from "./weights.js";

const ADAM = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.01 };
const SEQUENCES = [
  { ids: [1, 2, 3, 4, 5, 6, 7, 8], mask: [0, 0, 0, 1, 1, 0, 1, 1] },
  { ids: [9, 10, 0], mask: [0, 1, 1] },
  { ids: [5, 5, 1, 2, 9], mask: [0, 0, 0, 0, 0] },
];

let machines: readonly (readonly [string, Machine])[];
beforeAll(async () => {
  await openBackend({ name: "wasm" });
  const blas = openMachine({ threads: 1 });
  process.env.AFTERSTATE_BLAS = "off";
  machines = [
    ["BLAS", blas],
    ["the engine's own product", openMachine({ threads: 1 })],
  ];
  delete process.env.AFTERSTATE_BLAS;
});
afterAll(() => {
  for (const [, machine] of machines) machine.dispose();
});

/** Greatest difference of two sets of arrays, of each relative to the array's greatest number. */
function difference(left: PolicyWeights, right: PolicyWeights): number {
  expect([...left.keys()].sort()).toEqual([...right.keys()].sort());
  let worst = 0;
  for (const [name, { data }] of left) {
    const other = right.get(name)!.data;
    const size = data.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);
    data.forEach((value, i) => {
      worst = Math.max(worst, Math.abs(value - other[i]!) / size);
    });
  }
  return worst;
}

describe.each(Object.entries(ARCHITECTURES))("training %s", (_name, config) => {
  const { learned, frozen } = drawnWeights(config, 3);

  it("has the loss, the gradients and the step of the tensor path", async () => {
    const tensors = createTensorTrainable(learned, ADAM, { frozen: frozen && uploadWeights(frozen) });
    const tensorLosses = [
      await tensors.accumulate(tensorLoss(config, SEQUENCES.slice(0, 2), 7), 0),
      await tensors.accumulate(tensorLoss(config, SEQUENCES.slice(1, 2), 7), 1),
    ];
    const agreed = (await tensors.agreement())!;
    const norm = await tensors.step(1e-2, 0.5);
    const [weights, optimizer] = [await tensors.weights(), await tensors.optimizer()];
    tensors.dispose();

    for (const [name, machine] of machines) {
      const before = machine.arena.allocated;
      const base = frozen && placeFrozen(machine, frozen);
      const trainable = createTrainable(machine, config, learned, ADAM, { frozen: base?.placed });
      expect(trainable.accumulate(supervisedLoss(SEQUENCES, 7), 0), name).toBeCloseTo(tensorLosses[0]!, 4);
      expect(trainable.accumulate(supervisedLoss(SEQUENCES.slice(1, 2), 7), 1)).toBeCloseTo(tensorLosses[1]!, 4);
      const agreement = trainable.agreement()!;
      expect(agreement.signal / agreed.signal).toBeCloseTo(1, 3);
      expect(agreement.power / agreed.power).toBeCloseTo(1, 3);
      expect(trainable.step(1e-2, 0.5) / norm).toBeCloseTo(1, 4);
      // The first moment is (1 − β₁) of the clipped gradient: every gradient is compared.
      expect(difference(optimizer, trainable.optimizer()), name).toBeLessThan(2e-4);
      expect(difference(weights, trainable.weights()), name).toBeLessThan(2e-3);
      trainable.dispose();
      base?.free();
      expect(machine.arena.allocated).toBe(before);
    }
  });

  it("has the same gradients for a sequence that is computed block by block", async () => {
    const wide = { ...config, vocab_size: 40_000, max_position_embeddings: 512 };
    const { learned, frozen } = drawnWeights(wide, 3);
    const ids = Array.from({ length: 301 }, (_, t) => (t * 997) % wide.vocab_size);
    const sequences = [{ ids, mask: ids.map(() => 1) }, SEQUENCES[0]!];
    const tensors = createTensorTrainable(learned, ADAM, { frozen: frozen && uploadWeights(frozen) });
    const tensorLosses = [
      await tensors.accumulate(tensorLoss(wide, sequences.slice(0, 1), 300)),
      await tensors.accumulate(tensorLoss(wide, sequences.slice(1), 300)),
    ];
    await tensors.step(0, 1);
    const optimizer = await tensors.optimizer();
    tensors.dispose();
    for (const [name, machine] of machines) {
      const base = frozen && placeFrozen(machine, frozen);
      const trainable = createTrainable(machine, wide, learned, ADAM, { frozen: base?.placed });
      const loss = trainable.accumulate(supervisedLoss(sequences, 300));
      expect(loss / (tensorLosses[0]! + tensorLosses[1]!), name).toBeCloseTo(1, 4);
      trainable.step(0, 1);
      expect(difference(optimizer, trainable.optimizer()), name).toBeLessThan(1e-3);
      trainable.dispose();
      base?.free();
    }
  });

  it("computes the same again when memory is short", () => {
    const machine = machines[0]![1];
    const base = frozen && placeFrozen(machine, frozen);
    const moments = [0, 9_000, 2 ** 30].map((activationBytes) => {
      const trainable = createTrainable(machine, config, learned, ADAM, { frozen: base?.placed, activationBytes });
      trainable.accumulate(supervisedLoss(SEQUENCES, 7));
      trainable.step(0, 1);
      const optimizer = trainable.optimizer();
      trainable.dispose();
      return optimizer;
    });
    base?.free();
    expect(difference(moments[2]!, moments[0]!)).toBeLessThan(1e-6);
    expect(difference(moments[2]!, moments[1]!)).toBeLessThan(1e-6);
  });
});

/** The accumulated gradient, unclipped: the first moment of a step with β₁ = 0. */
function gradientOf(machine: Machine, learned: PolicyWeights, sequences: typeof SEQUENCES, denominator = 7) {
  const trainable = createTrainable(machine, TINY_CONFIG, learned, { ...ADAM, beta1: 0 });
  const loss = trainable.accumulate(supervisedLoss(sequences, denominator));
  trainable.step(0, 1e9);
  const optimizer = trainable.optimizer();
  trainable.dispose();
  return { loss, gradient: new Map([...optimizer].filter(([name]) => name.endsWith(".exp_avg"))) };
}

describe("packed sequences", () => {
  const { learned } = drawnWeights(TINY_CONFIG, 4);
  const [first, second] = SEQUENCES as [(typeof SEQUENCES)[0], (typeof SEQUENCES)[0]];
  const third = { ids: [3, 1, 4, 1, 5, 9, 2, 6, 5], mask: [0, 1, 1, 1, 1, 1, 1, 1, 1] };

  it("have the loss and the gradient of the sequences taken alone, summed", () => {
    for (const [name, machine] of machines) {
      const alone = [first, second, third].map((sequence) => gradientOf(machine, learned, [sequence]));
      const packed = gradientOf(machine, learned, [first, second, third]);
      expect(packed.loss, name).toBeCloseTo(
        alone.reduce((sum, { loss }) => sum + loss, 0),
        5,
      );
      const sum = new Map(
        [...packed.gradient].map(([name, { shape, data }]) => [
          name,
          {
            shape,
            data: data.map((_, i) => alone.reduce((sum, { gradient }) => sum + gradient.get(name)!.data[i]!, 0)),
          },
        ]),
      );
      expect(difference(sum, packed.gradient), name).toBeLessThan(1e-4);
    }
  });

  it("give each other nothing: what stands in one changes no bit of what another contributes", () => {
    const unrewarded = (ids: number[]) => ({ ids, mask: ids.map(() => 0) });
    for (const [name, machine] of machines) {
      const beside = (ids: number[]) => gradientOf(machine, learned, [unrewarded(ids), first, unrewarded(ids), third]);
      const [calm, other] = [beside([1, 1, 1, 1]), beside([10, 7, 3, 0])];
      expect(other.loss, name).toBe(calm.loss);
      for (const [weight, { data }] of calm.gradient) expect(other.gradient.get(weight)!.data, weight).toEqual(data);
      // Where the other sequences do have a loss, their own gradient is all that they add.
      const loud = (ids: number[]) => {
        const both = gradientOf(machine, learned, [{ ids, mask: [0, 1, 1, 1] }, first]).gradient;
        const alone = gradientOf(machine, learned, [{ ids, mask: [0, 1, 1, 1] }]).gradient;
        return new Map(
          [...both].map(([name, { shape, data }]) => [
            name,
            { shape, data: data.map((value, i) => value - alone.get(name)!.data[i]!) },
          ]),
        );
      };
      expect(difference(loud([1, 1, 1, 1]), loud([10, 7, 3, 0])), name).toBeLessThan(1e-4);
    }
  });
});

describe("weight decay", () => {
  const qwen = ARCHITECTURES["a Qwen2 with biases"]!;
  const { learned } = drawnWeights(qwen, 4);
  const decay = { ...ADAM, weightDecay: 0.5 };
  const still = [{ ids: [1, 2, 3], mask: [0, 0, 0] }];

  /** w (1 − η λ) = w (1 − .1 · .5) of matrices, when there is no gradient; norms and biases stay. */
  function expectDecayed(weights: PolicyWeights): void {
    for (const [name, { shape, data }] of learned) {
      const share = shape.length > 1 ? 0.95 : 1;
      weights.get(name)!.data.forEach((value, i) => expect(value).toBeCloseTo(share * data[i]!, 6));
    }
  }

  it("shrinks matrices by the learning rate's share, and neither norms nor biases, on the engine and on TensorFlow.js", async () => {
    for (const [, machine] of machines) {
      const trainable = createTrainable(machine, qwen, learned, decay);
      trainable.accumulate(supervisedLoss(still, 1));
      trainable.step(0.1, 1);
      expectDecayed(trainable.weights());
      trainable.dispose();
    }
    const tensors = createTensorTrainable(learned, decay);
    await tensors.accumulate(tensorLoss(qwen, still, 1));
    await tensors.step(0.1, 1);
    expectDecayed(await tensors.weights());
    tensors.dispose();
  });
});

describe("an optimizer's state", () => {
  const machine = () => machines[0]![1];
  const { learned } = drawnWeights(TINY_CONFIG, 4);
  const name = "model.layers.0.self_attn.q_proj.weight";

  it.each([
    ["of another shape", `${name}.exp_avg`, { shape: [2], data: new Float32Array(2) }, "shape [8, 8]", "shape [2]"],
    ["that is missing", `${name}.exp_avg_sq`, undefined, "shape [8, 8]", "nothing"],
    ["of no weight", "w.exp_avg", { shape: [1], data: new Float32Array(1) }, "no such tensor", "shape [1]"],
  ])("with a moment %s is refused, and says which", (_what, tensor, moment, expected, found) => {
    const trainable = createTrainable(machine(), TINY_CONFIG, learned, ADAM);
    const optimizer = new Map(trainable.optimizer());
    trainable.dispose();
    if (moment === undefined) optimizer.delete(tensor);
    else optimizer.set(tensor, moment);
    const before = machine().arena.allocated;
    const facts = { code: "checkpoint/mismatch", file: "the optimizer's state", tensor, expected, found };
    const refused = (open: () => unknown) => {
      try {
        open();
      } catch (cause) {
        return cause;
      }
      return undefined;
    };
    expect(refused(() => createTrainable(machine(), TINY_CONFIG, learned, ADAM, { optimizer }))).toMatchObject(facts);
    expect(refused(() => createTensorTrainable(learned, ADAM, { optimizer }))).toMatchObject(facts);
    expect(machine().arena.allocated).toBe(before);
  });
});

it("has the gradients of central differences", () => {
  const machine = machines[0]![1];
  const { learned } = drawnWeights(TINY_CONFIG, 4);
  const loss = (weights: PolicyWeights) => {
    const trainable = createTrainable(machine, TINY_CONFIG, weights, ADAM);
    const value = trainable.accumulate(supervisedLoss(SEQUENCES, 1));
    trainable.dispose();
    return value;
  };
  const trainable = createTrainable(machine, TINY_CONFIG, learned, { ...ADAM, beta1: 0 });
  trainable.accumulate(supervisedLoss(SEQUENCES, 1));
  trainable.step(0, 1e9);
  const gradient = trainable.optimizer();
  trainable.dispose();
  for (const name of ["model.embed_tokens.weight", "model.layers.0.self_attn.k_proj.weight", "model.norm.weight"]) {
    const { shape, data } = learned.get(name)!;
    const slope = gradient.get(`${name}.exp_avg`)!.data;
    const at = slope.reduce((best, value, i) => (Math.abs(value) > Math.abs(slope[best]!) ? i : best), 0);
    const moved = (by: number) =>
      new Map(learned).set(name, { shape, data: data.map((w, i) => (i === at ? w + by : w)) });
    expect((loss(moved(5e-3)) - loss(moved(-5e-3))) / 1e-2 / slope[at]!).toBeCloseTo(1, 2);
  }
});
