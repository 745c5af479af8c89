/* What this package uses of WebGPU and of TensorFlow.js' backend on it; neither is installed when the package is built. */
import type * as tf from "@tensorflow/tfjs";

/** A buffer as a kernel sees it. */
export type Binding = object;
/** A compiled kernel. */
export interface Pipeline {
  getBindGroupLayout(index: number): object;
}

interface ComputePass {
  setPipeline(pipeline: Pipeline): void;
  setBindGroup(index: number, group: object): void;
  dispatchWorkgroups(x: number, y: number): void;
}

/** Limits of an adapter or a device, by WebGPU's names. */
export type Limits = Readonly<Record<string, number>>;

/** WebGPU's GPUDevice. */
export interface Device {
  readonly limits: Limits;
  readonly lost: Promise<{ readonly reason: string; readonly message: string }>;
  addEventListener(
    type: "uncapturederror",
    listener: (event: { readonly error: Error; preventDefault(): void }) => void,
  ): void;
  createShaderModule(options: { code: string; label: string }): object;
  createComputePipeline(options: {
    layout: "auto";
    label: string;
    compute: { module: object; entryPoint: string };
  }): Pipeline;
  createBindGroup(options: { layout: object; entries: { binding: number; resource: Binding }[] }): object;
  destroy(): void;
}

/** WebGPU's GPUAdapter. */
export interface Adapter {
  readonly limits: Limits;
  readonly features: ReadonlySet<string>;
  readonly info: {
    readonly vendor: string;
    readonly architecture: string;
    readonly description: string;
    readonly isFallbackAdapter?: boolean;
  };
  requestDevice(options: { requiredLimits: Record<string, number>; requiredFeatures: string[] }): Promise<Device>;
}

/** WebGPU's GPU: what Dawn's `create` gives. */
export interface Gpu {
  requestAdapter(options: { powerPreference: "high-performance" }): Promise<Adapter | null>;
}

/** The npm package `webgpu`: Dawn for Node. */
export interface Dawn {
  create(options: readonly string[]): Gpu;
  readonly globals: Readonly<Record<string, unknown>>;
}

type DataId = object;

/** TensorFlow.js' backend on WebGPU: its tensors, and the queue of commands that ours go into, too. */
export interface WebGpuBackend extends tf.KernelBackend {
  readonly device: Device;
  readonly tensorMap: { get(id: DataId): { values: unknown } };
  /** Tensors that commands not yet submitted use: they are freed later. */
  readonly commandQueueOwnedIds: WeakSet<DataId>;
  computePassEncoder: ComputePass | null;
  readonly commandEncoder: { beginComputePass(): ComputePass };
  dispatchCountInPass: number;
  makeTensorInfo(shape: readonly number[], dtype: tf.DataType): tf.TensorInfo;
  makeUniforms(fields: { type: "int32" | "uint32" | "float32"; data: number[] }[]): Binding;
  uploadToGPU(id: DataId): void;
  tensorToBinding(tensor: { readonly dataId: DataId }): Binding;
  ensureCommandEncoderReady(): void;
  endComputePassEncoder(): void;
  submitQueue(): void;
}
