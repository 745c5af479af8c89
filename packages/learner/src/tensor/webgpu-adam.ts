import * as tf from "@tensorflow/tfjs";
import { isDecayed } from "./adam.js";
import type { AdamStep } from "./fused-operations.js";
import type { WebGpuBackend } from "./webgpu-device.js";
import { ELEMENT_THREADS, groupsOf, type Kernel } from "./webgpu-kernel.js";
import { runTensors } from "./webgpu-operation.js";

/*
 * The optimiser's kernels. A tensor of TensorFlow.js has a buffer of its own, and a kernel sees only so many buffers: each dispatch takes
 * as many weights as the device lets it, and works in place.
 */

/** WGSL that runs `body` with `offset`, an element of the flat vectors, and `i`, the same element of one of `count` tensors. */
function eachElement(count: number, body: (tensor: number) => string): string {
  const cases = Array.from(
    { length: count },
    (_, n) => `if (i < numbers.size${n}) { ${body(n)} return; } i -= numbers.size${n};`,
  );
  return `fn kernel(group: u32, thread: u32) {
    var i = group * ${ELEMENT_THREADS}u + thread;
    let offset = numbers.first + i;
    ${cases.join("\n    ")}
  }`;
}

const named = <T>(count: number, name: string, value: T): Record<string, T> =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`${name}${n}`, value]));

const gather = (count: number, add: boolean): Kernel => ({
  name: `gather-gradients-${count}-${add}`,
  inputs: named(count, "gradient", "f32" as const),
  outputs: { flat: "f32" },
  numbers: { first: "u32", ...named(count, "size", "u32" as const) },
  threads: ELEMENT_THREADS,
  code: eachElement(count, (n) => `flat[offset] ${add ? "+=" : "="} gradient${n}[i];`),
});

const adam = (count: number): Kernel => ({
  name: `adam-${count}`,
  inputs: { gradient: "f32" },
  outputs: { mean: "f32", variance: "f32", ...named(count, "weight", "f32" as const) },
  numbers: {
    first: "u32",
    ...named(count, "size", "u32" as const),
    scale: "f32",
    beta1: "f32",
    beta2: "f32",
    correction1: "f32",
    correction2: "f32",
    learningRate: "f32",
    ...named(count, "decay", "f32" as const),
    epsilon: "f32",
  },
  threads: ELEMENT_THREADS,
  code: eachElement(
    count,
    (n) => `
      let g = gradient[offset] * numbers.scale;
      let m = numbers.beta1 * mean[offset] + (1.0 - numbers.beta1) * g;
      let v = numbers.beta2 * variance[offset] + (1.0 - numbers.beta2) * g * g;
      mean[offset] = m;
      variance[offset] = v;
      let direction = m / numbers.correction1 / (sqrt(v / numbers.correction2) + numbers.epsilon);
      weight${n}[i] -= numbers.learningRate * (direction + numbers.decay${n} * weight${n}[i]);`,
  ),
});

/** Tensors as they fit into dispatches, with where they begin in the flat vectors. */
function dispatches(tensors: readonly tf.Tensor[], otherBuffers: number) {
  const limit = (tf.backend() as WebGpuBackend).device.limits.maxStorageBuffersPerShaderStage! - otherBuffers;
  let first = 0;
  return Array.from({ length: Math.ceil(tensors.length / limit) }, (_, i) => {
    const part = tensors.slice(i * limit, (i + 1) * limit);
    const size = part.reduce((sum, tensor) => sum + tensor.size, 0);
    const numbers: Record<string, number> = { first };
    for (const [n, tensor] of part.entries()) numbers[`size${n}`] = tensor.size;
    first += size;
    return { part, numbers, groups: groupsOf(size) };
  });
}

/** Adds gradients to a flat vector in place, or makes one of them. */
export function addGradients(total: tf.Tensor1D | undefined, gradients: readonly tf.Tensor[]): tf.Tensor1D {
  let flat: tf.Tensor | undefined = total;
  for (const { part, numbers, groups } of dispatches(gradients, 1)) {
    const size = gradients.reduce((sum, gradient) => sum + gradient.size, 0);
    const call = { inputs: part, outputs: [flat ?? [size]], numbers, groups };
    flat = runTensors(gather(part.length, total !== undefined), call)[0]!;
  }
  return flat as tf.Tensor1D;
}

/** One step of AdamW on all weights, in place; decay acts where {@link isDecayed} says. */
export function adamStep(weights: readonly tf.Tensor[], step: AdamStep): void {
  const { gradient, mean, variance, weightDecay, ...scalars } = step;
  for (const { part, numbers, groups } of dispatches(weights, 3)) {
    runTensors(adam(part.length), {
      inputs: [gradient],
      outputs: [mean, variance, ...part],
      numbers: { ...numbers, ...decays(part, weightDecay), ...scalars },
      groups,
    });
  }
}

function decays(weights: readonly tf.Tensor[], weightDecay: number): Record<string, number> {
  return Object.fromEntries(weights.map(({ shape }, n) => [`decay${n}`, isDecayed(shape) ? weightDecay : 0]));
}
