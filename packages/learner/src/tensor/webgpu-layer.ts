import * as tf from "@tensorflow/tfjs";
import { ELEMENT_THREADS, groupsOf, type Kernel, REDUCTIONS, ROW_THREADS } from "./webgpu-kernel.js";
import { defineOperation } from "./webgpu-operation.js";

/* The small operations of a layer as WGSL kernels; their equations stand in ops.ts. */

/** Columns and rows that a workgroup of the weight's gradient takes at once. */
const TILE = 16;
const COLUMN_THREADS = 32;

const normForward: Kernel = {
  name: "rms-norm",
  inputs: { x: "f32", weight: "f32" },
  outputs: { y: "f32", scale: "f32" },
  numbers: { width: "u32", epsilon: "f32" },
  threads: ROW_THREADS,
  code: `${REDUCTIONS}
    fn kernel(row: u32, thread: u32) {
      let at = row * numbers.width;
      var sum = 0.0;
      for (var i = thread; i < numbers.width; i += ${ROW_THREADS}u) { sum += x[at + i] * x[at + i]; }
      let s = inverseSqrt(total(thread, sum) / f32(numbers.width) + numbers.epsilon);
      for (var i = thread; i < numbers.width; i += ${ROW_THREADS}u) { y[at + i] = x[at + i] * s * weight[i]; }
      if (thread == 0u) { scale[row] = s; }
    }`,
};

const normByInput: Kernel = {
  name: "rms-norm-dx",
  inputs: { x: "f32", weight: "f32", scale: "f32", dy: "f32" },
  outputs: { dx: "f32" },
  numbers: { width: "u32" },
  threads: ROW_THREADS,
  code: `${REDUCTIONS}
    fn kernel(row: u32, thread: u32) {
      let at = row * numbers.width;
      let s = scale[row];
      var sum = 0.0;
      for (var i = thread; i < numbers.width; i += ${ROW_THREADS}u) { sum += dy[at + i] * weight[i] * x[at + i]; }
      let mean = total(thread, sum) * s * s / f32(numbers.width);
      for (var i = thread; i < numbers.width; i += ${ROW_THREADS}u) {
        dx[at + i] = s * (dy[at + i] * weight[i] - x[at + i] * mean);
      }
    }`,
};

const normByWeight: Kernel = {
  name: "rms-norm-dw",
  inputs: { x: "f32", scale: "f32", dy: "f32" },
  outputs: { dw: "f32" },
  numbers: { rows: "u32", width: "u32" },
  threads: TILE * TILE,
  code: `
    var<workgroup> sums: array<f32, ${TILE * TILE}>;
    fn kernel(group: u32, thread: u32) {
      let column = group * ${TILE}u + thread % ${TILE}u;
      var sum = 0.0;
      if (column < numbers.width) {
        for (var row = thread / ${TILE}u; row < numbers.rows; row += ${TILE}u) {
          let at = row * numbers.width + column;
          sum += dy[at] * x[at] * scale[row];
        }
      }
      sums[thread] = sum;
      workgroupBarrier();
      if (thread < ${TILE}u && column < numbers.width) {
        for (var lane = 1u; lane < ${TILE}u; lane++) { sum += sums[lane * ${TILE}u + thread]; }
        dw[column] = sum;
      }
    }`,
};

/** Each thread turns one pair; `direction` is −1 to turn back. */
const rotate: Kernel = {
  name: "rotary",
  inputs: { x: "f32", cosines: "f32", sines: "f32" },
  outputs: { y: "f32" },
  numbers: { pairs: "u32", heads: "u32", half: "u32", angles: "u32", direction: "f32" },
  threads: ELEMENT_THREADS,
  code: `
    fn kernel(group: u32, thread: u32) {
      let pair = group * ${ELEMENT_THREADS}u + thread;
      if (pair >= numbers.pairs) { return; }
      let head = pair / numbers.half;
      let j = pair % numbers.half;
      let angle = (head / numbers.heads) % numbers.angles * 2u * numbers.half + j;
      let at = head * 2u * numbers.half + j;
      let a = x[at];
      let b = x[at + numbers.half];
      let c = cosines[angle];
      let s = sines[angle] * numbers.direction;
      y[at] = a * c - b * s;
      y[at + numbers.half] = b * c + a * s;
    }`,
};

const gateForward: Kernel = {
  name: "swiglu",
  inputs: { gate: "f32", up: "f32" },
  outputs: { y: "f32" },
  numbers: { size: "u32" },
  threads: ELEMENT_THREADS,
  code: `
    fn kernel(group: u32, thread: u32) {
      let i = group * ${ELEMENT_THREADS}u + thread;
      if (i < numbers.size) { y[i] = gate[i] / (1.0 + exp(-gate[i])) * up[i]; }
    }`,
};

const gateBackward: Kernel = {
  name: "swiglu-gradient",
  inputs: { gate: "f32", up: "f32", dy: "f32" },
  outputs: { dgate: "f32", dup: "f32" },
  numbers: { size: "u32" },
  threads: ELEMENT_THREADS,
  code: `
    fn kernel(group: u32, thread: u32) {
      let i = group * ${ELEMENT_THREADS}u + thread;
      if (i >= numbers.size) { return; }
      let sigma = 1.0 / (1.0 + exp(-gate[i]));
      dgate[i] = dy[i] * up[i] * sigma * (1.0 + gate[i] * (1.0 - sigma));
      dup[i] = dy[i] * gate[i] * sigma;
    }`,
};

const embedForward: Kernel = {
  name: "embed",
  inputs: { ids: "i32", table: "f32" },
  outputs: { y: "f32" },
  numbers: { size: "u32", width: "u32" },
  threads: ELEMENT_THREADS,
  code: `
    fn kernel(group: u32, thread: u32) {
      let i = group * ${ELEMENT_THREADS}u + thread;
      if (i < numbers.size) { y[i] = table[u32(ids[i / numbers.width]) * numbers.width + i % numbers.width]; }
    }`,
};

/** Adds to each column of a table of zeros, row after row: the same ids give the same sum, to the bit. */
const embedBackward: Kernel = {
  name: "embed-gradient",
  inputs: { ids: "i32", dy: "f32" },
  outputs: { dtable: "f32" },
  numbers: { rows: "u32", width: "u32" },
  threads: COLUMN_THREADS,
  code: `
    fn kernel(group: u32, thread: u32) {
      let column = group * ${COLUMN_THREADS}u + thread;
      if (column >= numbers.width) { return; }
      for (var row = 0u; row < numbers.rows; row++) {
        dtable[u32(ids[row]) * numbers.width + column] += dy[row * numbers.width + column];
      }
    }`,
};

const size = (tensor: tf.TensorInfo): number => tensor.shape.reduce((product, side) => product * side, 1);

/** Defines the operations. Once per thread, after the backend. */
export function defineLayerOperations() {
  const rmsNorm = defineOperation<"x" | "weight", { epsilon: number }>({
    name: "RmsNorm",
    inputs: ["x", "weight"],
    saves: [false, true],
    forward: (run, { x, weight }, { epsilon }) => {
      const [rows, width] = x.shape as [number, number];
      const numbers = { width, epsilon };
      return run(normForward, { inputs: [x, weight], outputs: [x.shape, [rows]], numbers, groups: rows });
    },
    gradient: (run, dy, [x, weight, scale]) => {
      const [rows, width] = x!.shape as [number, number];
      return {
        x: () =>
          run(normByInput, {
            inputs: [x!, weight!, scale!, dy],
            outputs: [x!.shape],
            numbers: { width },
            groups: rows,
          })[0]!,
        weight: () =>
          run(normByWeight, {
            inputs: [x!, scale!, dy],
            outputs: [[width]],
            numbers: { rows, width },
            groups: groupsOf(width, TILE),
          })[0]!,
      };
    },
  });

  const turn = (x: tf.TensorInfo, cosines: tf.TensorInfo, sines: tf.TensorInfo, direction: number) => {
    const [, , heads, headDim] = x.shape as [number, number, number, number];
    const pairs = size(x) / 2;
    const numbers = { pairs, heads, half: headDim / 2, angles: size(cosines) / headDim, direction };
    return { inputs: [x, cosines, sines], outputs: [x.shape], numbers, groups: groupsOf(pairs) };
  };
  const rotary = defineOperation<"x" | "cosines" | "sines", object>({
    name: "Rotary",
    inputs: ["x", "cosines", "sines"],
    saves: [false],
    forward: (run, { x, cosines, sines }) => run(rotate, turn(x, cosines, sines, 1)),
    gradient: (run, dy, [, cosines, sines]) => ({ x: () => run(rotate, turn(dy, cosines!, sines!, -1))[0]! }),
  });

  const swiglu = defineOperation<"gate" | "up", object>({
    name: "SwiGlu",
    inputs: ["gate", "up"],
    saves: [false],
    forward: (run, { gate, up }) =>
      run(gateForward, {
        inputs: [gate, up],
        outputs: [gate.shape],
        numbers: { size: size(gate) },
        groups: groupsOf(size(gate)),
      }),
    gradient: (run, dy, [gate, up]) => {
      const [dgate, dup] = run(gateBackward, {
        inputs: [gate!, up!, dy],
        outputs: [gate!.shape, gate!.shape],
        numbers: { size: gate!.size },
        groups: groupsOf(gate!.size),
      });
      return { gate: () => dgate!, up: () => dup! };
    },
  });

  const embed = defineOperation<"ids" | "table", object>({
    name: "Embed",
    inputs: ["ids", "table"],
    saves: [false],
    forward: (run, { ids, table }) => {
      const [rows, width] = [size(ids), table.shape[1]!];
      const numbers = { size: rows * width, width };
      return run(embedForward, {
        inputs: [ids, table],
        outputs: [[rows, width]],
        numbers,
        groups: groupsOf(rows * width),
      });
    },
    gradient: (run, dy, [ids, table]) => ({
      table: () => {
        const [rows, width] = dy.shape as [number, number];
        const zeros = tf.fill(table!.shape, 0);
        return run(embedBackward, {
          inputs: [ids!, dy],
          outputs: [zeros],
          numbers: { rows, width },
          groups: groupsOf(width, COLUMN_THREADS),
        })[0]!;
      },
    }),
  });
  return { embed, rmsNorm, rotary, swiglu };
}
