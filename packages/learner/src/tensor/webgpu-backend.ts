import { createRequire } from "node:module";
import { AgentError, messageOf } from "@afterstate/core";
import * as tf from "@tensorflow/tfjs";
import { fuseOperations } from "./fused-operations.js";
import type { Adapter, Dawn, Device, Gpu, WebGpuBackend } from "./webgpu-device.js";
import { webGpuOperations } from "./webgpu-operations.js";

/** Neither package is a dependency of ours: they are large, and of use only where there is a driver. */
const INSTALL = "npm install webgpu@0.6.2 @tensorflow/tfjs-backend-webgpu@4.22.0";

/** What a device is asked for beyond WebGPU's guarantees: as much as the adapter has. */
const WANTED_LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeWorkgroupsPerDimension",
  "maxComputeWorkgroupSizeX",
  "maxComputeInvocationsPerWorkgroup",
];

/** Dawn works for a device only as long as something refers to the instance that it came from. */
const instances = new WeakMap<WebGpuBackend, Gpu>();

/**
 * Starts WebGPU (Dawn) on this thread and puts TensorFlow.js on it.
 *
 * A device that is lost, or that refuses a command, would go on with zeros: every later read fails instead, with AgentError
 * `tensor/device-lost` or `tensor/device-error`.
 *
 * @param software whether a driver that computes on the processor's cores will do (SwiftShader, lavapipe): it is right, and slower
 * than every other backend.
 * @returns the adapter's name, for people.
 * @throws AgentError `tensor/webgpu-missing` when a package is not installed, `tensor/no-adapter` when there is no GPU or driver.
 */
export async function openWebGpu({ software }: { readonly software: boolean }): Promise<string> {
  const { dawn, Backend } = await loadPackages();
  for (const [name, value] of Object.entries(dawn.globals)) if (!(name in globalThis)) define(globalThis, name, value);
  // Dawn complains on standard error where it cannot load Vulkan: whoever did not ask for WebGPU should not read that.
  if (!software && !canLoadVulkan()) throw noAdapter();
  const gpu = dawn.create([]);
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null) throw noAdapter();
  const name = nameOf(adapter);
  if (adapter.info.isFallbackAdapter === true && !software) {
    throw new AgentError(
      "tensor/no-adapter",
      `WebGPU finds only ${name}, which is no GPU; set AFTERSTATE_BACKEND=webgpu to compute on it nonetheless`,
    );
  }
  const device = await adapter.requestDevice({
    requiredLimits: Object.fromEntries(WANTED_LIMITS.map((limit) => [limit, adapter.limits[limit]!])),
    requiredFeatures: [],
  });
  const backend = withNavigator(gpu, () => new Backend(device, adapter.info));
  instances.set(backend, gpu);
  failWithDevice(backend);
  tf.registerBackend("webgpu", () => backend);
  if (!(await tf.setBackend("webgpu"))) throw new Error("TensorFlow.js could not start its webgpu backend");
  fuseOperations(backend, webGpuOperations());
  return name;
}

function noAdapter(): AgentError {
  return new AgentError(
    "tensor/no-adapter",
    "WebGPU finds no GPU; on Linux it needs libvulkan.so.1 (Debian: libvulkan1) and the GPU's Vulkan driver, which VK_ICD_FILENAMES can name",
  );
}

function canLoadVulkan(): boolean {
  if (process.platform !== "linux") return true;
  try {
    (createRequire(import.meta.url)("koffi") as typeof import("koffi")).load("libvulkan.so.1");
    return true;
  } catch {
    return false;
  }
}

async function loadPackages() {
  try {
    const dawn = (await import("webgpu" as string)) as Dawn;
    const require = createRequire(import.meta.url); // its CommonJS build shares the engine with ours
    const { WebGPUBackend } = require("@tensorflow/tfjs-backend-webgpu") as {
      WebGPUBackend: new (device: Device, info: Adapter["info"]) => WebGpuBackend;
    };
    return { dawn, Backend: WebGPUBackend };
  } catch (cause) {
    throw new AgentError(
      "tensor/webgpu-missing",
      `a package is not installed (${messageOf(cause).split("\n")[0]}); run "${INSTALL}"`,
      { cause },
    );
  }
}

/** The GPU's name as its driver gives it. */
function nameOf({ info }: Adapter): string {
  const parts = [[info.vendor, info.architecture].filter((part) => part !== "").join(" "), info.description];
  return parts.filter((part) => part !== "").join(", ") || "a GPU without a name";
}

/**
 * Runs `make` with `navigator.gpu` in place, which TensorFlow.js looks for, and takes it away again: Dawn keeps a process alive as long
 * as a global refers to it, and other programs take a `navigator` for a browser.
 */
function withNavigator<T>(gpu: Gpu, make: () => T): T {
  const own = globalThis as { navigator?: object };
  const added = own.navigator === undefined;
  if (added) define(own, "navigator", {});
  define(own.navigator!, "gpu", gpu);
  try {
    return make();
  } finally {
    delete (own.navigator as { gpu?: Gpu }).gpu;
    if (added) delete own.navigator;
  }
}

function define(target: object, name: string, value: unknown): void {
  Object.defineProperty(target, name, { value, configurable: true, writable: true });
}

/** Makes reads fail once the device was lost or refused a command. */
function failWithDevice(backend: WebGpuBackend): void {
  let failure: AgentError | undefined;
  void backend.device.lost.then(({ reason, message }) => {
    failure ??= new AgentError(
      "tensor/device-lost",
      `the GPU was lost (${reason}: ${message}); what it held is gone, so open the policy again in a new thread or process`,
    );
  });
  backend.device.addEventListener("uncapturederror", (event) => {
    event.preventDefault(); // the first is thrown; what follows from it would only be printed
    failure ??= new AgentError(
      "tensor/device-error",
      `the GPU refused a command (${event.error.message.split("\n")[0]}); if it ran out of memory, give it smaller batches`,
    );
  });
  const read = backend.read.bind(backend);
  backend.read = async (id) => {
    try {
      const values = await read(id);
      if (failure === undefined) return values;
    } catch (cause) {
      await Promise.resolve(); // the device's own message comes with the same turn
      throw failure ?? cause;
    }
    throw failure;
  };
}
