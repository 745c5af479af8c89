import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { messageOf } from "@afterstate/core";
import * as tf from "@tensorflow/tfjs";

/** Where `npm run setup:tensorflow` puts a tfjs-node that it compiled against a TensorFlow of today. */
const SET_UP = fileURLToPath(new URL("../../../../.afterstate/tensorflow/tfjs-node", import.meta.url));
/** Of Linux, where that script runs. */
const RTLD_NODELETE = 0x1000;
const PACKAGES = ["@tensorflow/tfjs-node-gpu", "@tensorflow/tfjs-node"];

/** What this file needs of tfjs-node's addon. */
interface Binding {
  readonly TF_Version: string;
  isUsingGpuDevice(): boolean;
}

const require = createRequire(import.meta.url);

/**
 * Registers the backend `tensorflow` with TensorFlow.js: from the folder of `npm run setup:tensorflow`, else from an installed
 * tfjs-node-gpu or tfjs-node.
 *
 * @returns what it runs on, for people.
 * @throws Error that says what is missing.
 */
export function registerTensorflow(): string {
  if (existsSync(SET_UP)) return registerSetUp();
  const missing: string[] = [];
  for (const name of PACKAGES) {
    try {
      require(name);
      return name;
    } catch (cause) {
      missing.push(`${name} ${messageOf(cause).split("\n")[0]}`);
    }
  }
  throw new Error(`run npm run setup:tensorflow; ${missing.join(", ")}`);
}

/** The package's entry point would look for an addon that was downloaded, so its parts are put together here. */
function registerSetUp(): string {
  require(join(SET_UP, "lib", "napi-v8", "tensorflow_settings.node")); // counts only before the library is loaded
  const binding = loadToStay(join(SET_UP, "lib", "napi-v8", "tfjs_binding.node")) as Binding;
  const { NodeJSKernelBackend } = require(join(SET_UP, "dist", "nodejs_kernel_backend.js")) as {
    NodeJSKernelBackend: new (binding: Binding, packageName: string) => tf.KernelBackend;
  };
  require(join(SET_UP, "dist", "register_all_kernels.js"));
  if (tf.getKernelsForBackend("tensorflow").length === 0) {
    throw new Error(`${SET_UP} uses another copy of TensorFlow.js; run npm run setup:tensorflow in this checkout`);
  }
  tf.registerBackend("tensorflow", () => new NodeJSKernelBackend(binding, PACKAGES[1]!));
  return `TensorFlow ${binding.TF_Version}, ${binding.isUsingGpuDevice() ? "GPU" : "CPU"}`;
}

/**
 * Loads an addon that is never unloaded: TensorFlow registers what to do at the end of the process, and the thread that loaded it may end
 * before.
 */
function loadToStay(path: string): unknown {
  const module = { exports: {} };
  process.dlopen(module, path, constants.dlopen.RTLD_NOW | RTLD_NODELETE);
  return module.exports;
}

/** Whether TensorFlow, being the backend in use, computes on a GPU. */
export function runsOnGpu(): boolean {
  return (tf.backend() as tf.KernelBackend & { readonly isUsingGpuDevice?: boolean }).isUsingGpuDevice === true;
}
