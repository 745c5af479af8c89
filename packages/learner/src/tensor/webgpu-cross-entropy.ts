import type * as tf from "@tensorflow/tfjs";
import { ELEMENT_THREADS, groupsOf, type Kernel, REDUCTIONS, ROW_THREADS } from "./webgpu-kernel.js";
import { defineOperation } from "./webgpu-operation.js";

/* What a loss reads off logits [rows, vocab], without probabilities in memory: a row's logsumexp is kept, and the gradient makes them anew. */

/** WGSL of `logSumExp(at, thread)` of the row of logits that begins there. */
const LOG_SUM_EXP = `${REDUCTIONS}
  fn logSumExp(at: u32, thread: u32) -> f32 {
    var top = -3.0e38;
    var sum = 0.0;
    for (var v = thread; v < numbers.vocab; v += ${ROW_THREADS}u) {
      let score = logits[at + v];
      if (score > top) {
        sum *= exp(top - score);
        top = score;
      }
      sum += exp(score - top);
    }
    let most = largest(thread, top);
    return most + log(total(thread, sum * exp(top - most)));
  }`;

const targetForward: Kernel = {
  name: "target-log-probs",
  inputs: { logits: "f32", targets: "i32" },
  outputs: { y: "f32", normalisers: "f32" },
  numbers: { vocab: "u32" },
  threads: ROW_THREADS,
  code: `${LOG_SUM_EXP}
    fn kernel(row: u32, thread: u32) {
      let at = row * numbers.vocab;
      let normaliser = logSumExp(at, thread);
      if (thread == 0u) {
        y[row] = logits[at + u32(targets[row])] - normaliser;
        normalisers[row] = normaliser;
      }
    }`,
};

const targetBackward: Kernel = {
  name: "target-log-probs-gradient",
  inputs: { logits: "f32", targets: "i32", normalisers: "f32", dy: "f32" },
  outputs: { dlogits: "f32" },
  numbers: { size: "u32", vocab: "u32" },
  threads: ELEMENT_THREADS,
  code: `
    fn kernel(group: u32, thread: u32) {
      let i = group * ${ELEMENT_THREADS}u + thread;
      if (i >= numbers.size) { return; }
      let row = i / numbers.vocab;
      let hit = f32(i % numbers.vocab == u32(targets[row]));
      dlogits[i] = dy[row] * (hit - exp(logits[i] - normalisers[row]));
    }`,
};

/** WGSL of `costOf(i, row, logProb)`: see `TokenCost` in ops.ts. */
const COST = `
  fn costOf(i: u32, row: u32, logProb: f32) -> f32 {
    var cost = numbers.own * logProb;
    if (numbers.fromReference != 0.0) { cost -= numbers.fromReference * reference[i]; }
    if (numbers.clip > 0.0) { cost -= weights[row] * clamp(teacher[i] - logProb, -numbers.clip, numbers.clip); }
    return cost;
  }`;
const COST_INPUTS = { logits: "f32", reference: "f32", teacher: "f32", weights: "f32" } as const;
const COST_NUMBERS = { size: "u32", vocab: "u32", own: "f32", fromReference: "f32", clip: "f32" } as const;

const costForward: Kernel = {
  name: "expected-cost",
  inputs: COST_INPUTS,
  outputs: { y: "f32", normalisers: "f32" },
  numbers: COST_NUMBERS,
  threads: ROW_THREADS,
  code: `${LOG_SUM_EXP}${COST}
    fn kernel(row: u32, thread: u32) {
      let at = row * numbers.vocab;
      let normaliser = logSumExp(at, thread);
      var sum = 0.0;
      for (var v = thread; v < numbers.vocab; v += ${ROW_THREADS}u) {
        let logProb = logits[at + v] - normaliser;
        sum += exp(logProb) * costOf(at + v, row, logProb);
      }
      sum = total(thread, sum);
      if (thread == 0u) {
        y[row] = sum;
        normalisers[row] = normaliser;
      }
    }`,
};

const costBackward: Kernel = {
  name: "expected-cost-gradient",
  inputs: { ...COST_INPUTS, expected: "f32", normalisers: "f32", dy: "f32" },
  outputs: { dlogits: "f32" },
  numbers: COST_NUMBERS,
  threads: ELEMENT_THREADS,
  code: `${COST}
    fn kernel(group: u32, thread: u32) {
      let i = group * ${ELEMENT_THREADS}u + thread;
      if (i >= numbers.size) { return; }
      let row = i / numbers.vocab;
      let logProb = logits[i] - normalisers[row];
      dlogits[i] = dy[row] * exp(logProb) * (costOf(i, row, logProb) - expected[row]);
    }`,
};

/** The scalars of a cost. A `clip` of 0 leaves the teacher out, a `fromReference` of 0 the reference. */
export interface CostNumbers {
  readonly own: number;
  readonly fromReference: number;
  readonly clip: number;
}

/** Defines the operations. Once per thread, after the backend. */
export function defineCrossEntropyOperations() {
  const sizes = (logits: tf.TensorInfo) => {
    const [rows, vocab] = logits.shape as [number, number];
    return { rows, vocab, size: rows * vocab };
  };

  const targetLogProbs = defineOperation<"logits" | "targets", object>({
    name: "TargetLogProbs",
    inputs: ["logits", "targets"],
    saves: [false, true],
    forward: (run, { logits, targets }) => {
      const { rows, vocab } = sizes(logits);
      const call = { inputs: [logits, targets], outputs: [[rows], [rows]], numbers: { vocab }, groups: rows };
      return run(targetForward, call);
    },
    gradient: (run, dy, [logits, targets, normalisers]) => ({
      logits: () => {
        const { vocab, size } = sizes(logits!);
        const inputs = [logits!, targets!, normalisers!, dy];
        const call = { inputs, outputs: [logits!.shape], numbers: { size, vocab }, groups: groupsOf(size) };
        return run(targetBackward, call)[0]!;
      },
    }),
  });

  const expectedCost = defineOperation<keyof typeof COST_INPUTS, CostNumbers>({
    name: "ExpectedCost",
    inputs: ["logits", "reference", "teacher", "weights"],
    saves: [true, true],
    forward: (run, { logits, reference, teacher, weights }, numbers) => {
      const { rows, vocab, size } = sizes(logits);
      const inputs = [logits, reference, teacher, weights];
      return run(costForward, {
        inputs,
        outputs: [[rows], [rows]],
        numbers: { ...numbers, size, vocab },
        groups: rows,
      });
    },
    gradient: (run, dy, [logits, ...saved], numbers) => ({
      logits: () => {
        const { vocab, size } = sizes(logits!);
        const call = { outputs: [logits!.shape], numbers: { ...numbers, size, vocab }, groups: groupsOf(size) };
        return run(costBackward, { inputs: [logits!, ...saved, dy], ...call })[0]!;
      },
    }),
  });
  return { targetLogProbs, expectedCost };
}
