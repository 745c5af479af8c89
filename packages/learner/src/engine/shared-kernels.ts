import type { Kernels } from "./kernels.js";

/** Kernels that are shared among threads by columns or elements, not by rows. */
export const BY_COLUMN: ReadonlySet<string> = new Set<keyof Kernels>([
  "adamw",
  "addTo",
  "rmsNormWeightGradient",
  "scatterAdd",
  "sumRows",
  "swiglu",
  "swigluBackward",
]);

/** From the arguments of a call without the last, and the last. */
const ELEMENTS: Readonly<Partial<Record<keyof Kernels, (numbers: readonly number[], count: number) => number>>> = {
  adamw: (_, elements) => 8 * elements,
  addBias: ([, , width], rows) => width! * rows,
  addTo: (_, elements) => 2 * elements,
  attendOne: ([, , , , , group, headDim, length], heads) => 4 * group! * headDim! * length! * heads,
  causalSoftmax: ([, , keys], rows) => 4 * keys! * rows,
  causalSoftmaxBackward: ([, , , keys], rows) => 4 * keys! * rows,
  divergenceAndEntropy: ([, , , , , vocab], rows) => 8 * vocab! * rows,
  policyGradient: (numbers, rows) => 16 * numbers[12]! * rows,
  rmsNorm: ([, , , , , width], rows) => 2 * width! * rows,
  rmsNormAgain: ([, , , , width], rows) => 2 * width! * rows,
  rmsNormBackward: ([, , , , , , width], rows) => 4 * width! * rows,
  rmsNormWeightGradient: ([, , , , , rows], columns) => 2 * rows! * columns,
  rotary: ([, , , , heads, headDim], rows) => 2 * heads! * headDim! * rows,
  scaleRows: ([, , width], rows) => 2 * width! * rows,
  scatterAdd: ([, , , , rows], columns) => 2 * rows! * columns,
  subtractRows: ([, , vocab], rows) => 2 * vocab! * rows,
  sumRows: ([, , , rows], columns) => rows! * columns,
  swiglu: (_, elements) => 8 * elements,
  swigluBackward: (_, elements) => 8 * elements,
  targetGradient: ([, , , , vocab], rows) => 8 * vocab! * rows,
  targetLogProbs: ([, , , , vocab], rows) => 8 * vocab! * rows,
};

/** Floats that a call touches: what decides whether it is shared among threads. 0 for kernels that never are. */
export function floatsOf(name: keyof Kernels, numbers: readonly number[], count: number): number {
  return ELEMENTS[name]?.(numbers, count) ?? 0;
}
