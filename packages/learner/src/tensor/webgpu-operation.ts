import * as tf from "@tensorflow/tfjs";
import type { WebGpuBackend } from "./webgpu-device.js";
import { type Kernel, type KernelCall, runKernel } from "./webgpu-kernel.js";

/** Runs kernels within an operation. */
export type Run = (kernel: Kernel, call: KernelCall) => tf.TensorInfo[];

/** An operation of TensorFlow.js in kernels of our own. Its first output is its value; others are for the gradient. */
export interface Operation<Inputs extends string, Attributes> {
  readonly name: string;
  /** The inputs, in the order in which they are saved. */
  readonly inputs: readonly Inputs[];
  /** Which outputs the gradient needs. */
  readonly saves: readonly boolean[];
  forward(run: Run, inputs: Readonly<Record<Inputs, tf.TensorInfo>>, attributes: Attributes): tf.TensorInfo[];
  /**
   * The gradient by each input, computed only for those that are wanted. An input that is left out is a constant.
   * @param saved the inputs, then the outputs that it needs.
   */
  gradient(
    run: (kernel: Kernel, call: KernelCall) => tf.Tensor[],
    dy: tf.Tensor,
    saved: readonly tf.Tensor[],
    attributes: Attributes,
  ): Partial<Readonly<Record<Inputs, () => tf.Tensor>>>;
}

/**
 * Registers an operation with TensorFlow.js' webgpu backend, tape included.
 * @returns the operation on tensors.
 */
export function defineOperation<Inputs extends string, Attributes extends object>({
  name,
  inputs: names,
  saves,
  forward,
  gradient,
}: Operation<Inputs, Attributes>): (inputs: Readonly<Record<Inputs, tf.Tensor>>, attributes: Attributes) => tf.Tensor {
  const kernelName = `Afterstate${name}`;
  if (tf.getKernel(kernelName, "webgpu") === undefined) {
    tf.registerKernel({
      kernelName,
      backendName: "webgpu",
      kernelFunc: ({ inputs, backend, attrs }) =>
        forward(
          (kernel, call) => runKernel(backend as WebGpuBackend, kernel, call),
          inputs as unknown as Record<Inputs, tf.TensorInfo>,
          attrs as unknown as Attributes,
        ),
    });
  }
  if (tf.getGradient(kernelName) === undefined) {
    tf.registerGradient({
      kernelName,
      inputsToSave: [...names],
      outputsToSave: [...saves],
      gradFunc: (dy, saved, attrs) => {
        const given = gradient(runTensors, Array.isArray(dy) ? dy[0]! : dy, saved, attrs as unknown as Attributes);
        const constant = () => {
          throw new Error(`${name} has no gradient by this input`);
        };
        return Object.fromEntries(names.map((input) => [input, given[input] ?? constant]));
      },
    });
  }
  return (inputs, attributes) => {
    const outputs = tf.engine().runKernel(kernelName, inputs, attributes as unknown as tf.NamedAttrMap);
    return (Array.isArray(outputs) ? outputs[0]! : outputs) as tf.Tensor;
  };
}

/** {@link runKernel} outside of an operation: new outputs are tensors of the running tidy. */
export function runTensors(kernel: Kernel, call: KernelCall): tf.Tensor[] {
  const outputs = runKernel(tf.backend() as WebGpuBackend, kernel, call);
  return outputs.map((output, i) =>
    "dataId" in call.outputs[i]! ? (output as tf.Tensor) : tf.engine().makeTensorFromTensorInfo(output),
  );
}
