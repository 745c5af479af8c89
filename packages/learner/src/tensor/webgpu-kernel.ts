import * as tf from "@tensorflow/tfjs";
import type { Binding, Pipeline, WebGpuBackend } from "./webgpu-device.js";

/** A compute kernel. */
export interface Kernel {
  readonly name: string;
  /** Buffers that are read, each with the type of its elements. */
  readonly inputs: Readonly<Record<string, ElementType>>;
  /** Buffers that are written; a kernel may read what it wrote before, or what was there. */
  readonly outputs: Readonly<Record<string, ElementType>>;
  /** Scalars, in `numbers`; `numbers.groups` is always there. */
  readonly numbers: Readonly<Record<string, "u32" | "f32">>;
  /** Threads of a workgroup. */
  readonly threads: number;
  /** WGSL with `fn kernel(group: u32, thread: u32)`, whose group is the same for all threads of a workgroup. */
  readonly code: string;
}

/** What an element of a buffer is to a kernel. Tensors are float32 or int32: a wider element takes several in a row. */
export type ElementType = "f32" | "i32" | "vec4f";

/** One run of a kernel. Inputs and outputs in the kernel's order. */
export interface KernelCall {
  readonly inputs: readonly tf.TensorInfo[];
  /** The shapes of new float32 tensors, or tensors to write into. */
  readonly outputs: readonly (readonly number[] | tf.TensorInfo)[];
  readonly numbers: Readonly<Record<string, number>>;
  /** Workgroups. */
  readonly groups: number;
}

const pipelines = new WeakMap<WebGpuBackend, Map<string, Pipeline>>();

/**
 * Puts one dispatch of a kernel into the queue of TensorFlow.js' backend, among its own.
 *
 * Unlike the backend's own programs a kernel may have several outputs and write in place. It must not read and write one tensor under
 * two names.
 * @returns the outputs; new ones belong to the caller, or to the operation that the engine is running.
 */
export function runKernel(backend: WebGpuBackend, kernel: Kernel, call: KernelCall): tf.TensorInfo[] {
  const outputs = call.outputs.map((output) =>
    "dataId" in output ? output : backend.makeTensorInfo(output, "float32"),
  );
  const tensors = [...call.inputs, ...outputs];
  for (const { dataId } of tensors) {
    backend.uploadToGPU(dataId);
    backend.commandQueueOwnedIds.add(dataId);
  }
  for (const { dataId } of outputs) backend.tensorMap.get(dataId).values = null; // a copy that was read is void
  const numbers = backend.makeUniforms([
    { type: "uint32", data: [call.groups] },
    ...Object.entries(kernel.numbers).map(([name, type]) => ({
      type: type === "u32" ? ("uint32" as const) : ("float32" as const),
      data: [call.numbers[name]!],
    })),
  ]);
  const buffers: Binding[] = [...tensors.map(({ dataId }) => backend.tensorToBinding({ dataId })), numbers];
  const pipeline = pipelineOf(backend, kernel);
  const group = backend.device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: buffers.map((resource, binding) => ({ binding, resource })),
  });
  backend.ensureCommandEncoderReady();
  backend.computePassEncoder ??= backend.commandEncoder.beginComputePass();
  backend.computePassEncoder.setPipeline(pipeline);
  backend.computePassEncoder.setBindGroup(0, group);
  const width = Math.min(call.groups, backend.device.limits.maxComputeWorkgroupsPerDimension!);
  backend.computePassEncoder.dispatchWorkgroups(width, Math.ceil(call.groups / width));
  if (++backend.dispatchCountInPass >= tf.env().getNumber("WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE")) {
    backend.endComputePassEncoder();
    backend.submitQueue();
  }
  return outputs;
}

function pipelineOf(backend: WebGpuBackend, kernel: Kernel): Pipeline {
  const known = pipelines.get(backend) ?? new Map<string, Pipeline>();
  pipelines.set(backend, known);
  let pipeline = known.get(kernel.name);
  if (pipeline === undefined) {
    const module = backend.device.createShaderModule({ code: sourceOf(kernel), label: kernel.name });
    const compute = { module, entryPoint: "main" };
    pipeline = backend.device.createComputePipeline({ layout: "auto", label: kernel.name, compute });
    known.set(kernel.name, pipeline);
  }
  return pipeline;
}

function sourceOf({ inputs, outputs, numbers, threads, code }: Kernel): string {
  const buffers = [
    ...Object.entries(inputs).map(([name, type]) => ["read", name, type]),
    ...Object.entries(outputs).map(([name, type]) => ["read_write", name, type]),
  ].map(([access, name, type], i) => `@group(0) @binding(${i}) var<storage, ${access}> ${name}: array<${type}>;`);
  const fields = Object.entries(numbers).map(([name, type]) => `, ${name}: ${type}`);
  return `
    struct Numbers { groups: u32${fields.join("")} }
    ${buffers.join("\n")}
    @group(0) @binding(${buffers.length}) var<uniform> numbers: Numbers;
    ${code}
    @compute @workgroup_size(${threads})
    fn main(
      @builtin(workgroup_id) at: vec3u, @builtin(num_workgroups) size: vec3u, @builtin(local_invocation_index) thread: u32,
    ) {
      let group = at.y * size.x + at.x;
      if (group < numbers.groups) { kernel(group, thread); }
    }`;
}

/** Threads of a kernel that computes one element a thread. */
export const ELEMENT_THREADS = 256;

/** The workgroups that `elements` threads need. */
export function groupsOf(elements: number, threads = ELEMENT_THREADS): number {
  return Math.ceil(elements / threads);
}

/** Threads of a kernel that has one row a workgroup. */
export const ROW_THREADS = 64;

const reduction = (name: string, combine: string) => `
  fn ${name}(thread: u32, value: f32) -> f32 {
    shared_values[thread] = value;
    workgroupBarrier();
    if (thread < 8u) {
      var a = shared_values[thread];
      for (var i = thread + 8u; i < ${ROW_THREADS}u; i += 8u) { let b = shared_values[i]; a = ${combine}; }
      shared_parts[thread] = a;
    }
    workgroupBarrier();
    var a = shared_parts[0];
    for (var i = 1u; i < 8u; i++) { let b = shared_parts[i]; a = ${combine}; }
    return a;
  }`;

/**
 * WGSL of `total(thread, value)` and `largest(thread, value)` over a workgroup of {@link ROW_THREADS}; all its threads must come there.
 * Eight threads take eight values each: two barriers, where halving would take seven.
 */
export const REDUCTIONS = `
  var<workgroup> shared_values: array<f32, ${ROW_THREADS}>;
  var<workgroup> shared_parts: array<f32, 8>;
  ${reduction("total", "a + b")}
  ${reduction("largest", "max(a, b)")}`;
