import { createRequire } from "node:module";
import { dirname } from "node:path";
import { AgentError, messageOf } from "@afterstate/core";
import * as tf from "@tensorflow/tfjs";
import { loadBlas } from "./blas.js";
import { registerTensorflow, runsOnGpu } from "./tensorflow-backend.js";
import { replaceWasmMatMul } from "./wasm-matmul.js";
import { openWebGpu } from "./webgpu-backend.js";

/**
 * The backends a policy can run on, in the order in which they are tried. On `wasm` the CPU engine of engine/ computes; on
 * `wasm-tfjs` TensorFlow.js does, to compare with.
 */
export const BACKENDS = ["tensorflow", "webgpu", "wasm", "wasm-tfjs", "cpu"] as const;
/** One of {@link BACKENDS}. */
export type BackendName = (typeof BACKENDS)[number];

/** The tensor backend of this process. */
export interface Backend {
  readonly name: BackendName;
  /** The name and what it runs on, for people: `wasm (libopenblas.so.0)`. */
  readonly description: string;
  /** Threads of the CPU engine; absent: the cores. */
  readonly threads?: number;
}

/** How a backend is chosen. */
export interface BackendOptions {
  /** Default: `AFTERSTATE_BACKEND`, else the first that this machine has. */
  readonly name?: BackendName;
  /** Threads of the CPU engine (default: the cores), or of one product of TensorFlow.js on BLAS (default 1). */
  readonly threads?: number;
}

let current: Backend | undefined;

/**
 * Chooses the tensor backend of this thread, once.
 * @throws AgentError `tensor/backend-unavailable` when the named one is not there, `tensor/backend-chosen` when another is already in use.
 */
export async function openBackend(options: BackendOptions = {}): Promise<Backend> {
  const wanted = options.name ?? backendFromEnvironment();
  if (current !== undefined) {
    if (wanted === undefined || wanted === current.name) return current;
    throw new AgentError(
      "tensor/backend-chosen",
      `backend "${wanted}" was asked for, but this thread already runs on "${current.name}"; choose one backend per thread`,
    );
  }
  const failures: string[] = [];
  for (const name of wanted === undefined ? BACKENDS : [wanted]) {
    try {
      const on = await OPENERS[name](options.threads ?? 1, wanted !== undefined);
      await tf.ready();
      const { threads } = options;
      current = { name, description: `${name} (${on})`, ...(threads !== undefined && { threads }) };
      return current;
    } catch (cause) {
      failures.push(`${name}: ${messageOf(cause).split("\n")[0]}`);
    }
  }
  throw new AgentError(
    "tensor/backend-unavailable",
    `no tensor backend could be opened (${failures.join("; ")}); unset AFTERSTATE_BACKEND to let one be chosen`,
  );
}

function backendFromEnvironment(): BackendName | undefined {
  const name = process.env.AFTERSTATE_BACKEND;
  if (name === undefined || name === "") return undefined;
  if ((BACKENDS as readonly string[]).includes(name)) return name as BackendName;
  throw new AgentError(
    "tensor/backend-unavailable",
    `AFTERSTATE_BACKEND is "${name}"; it must be one of ${BACKENDS.join(", ")}`,
  );
}

const require = createRequire(import.meta.url);

const OPENERS: Readonly<Record<BackendName, (threads: number, named: boolean) => Promise<string>>> = {
  // What has no GPU, or only plays one, is slower than the engine: for those who ask for it.
  async tensorflow(_, named) {
    const on = registerTensorflow();
    await selectBackend("tensorflow");
    if (!named && !runsOnGpu()) throw new Error("TensorFlow sees no GPU");
    return on;
  },
  webgpu: (_, named) => openWebGpu({ software: named }),

  wasm: openWasm,
  "wasm-tfjs": openWasm,

  async cpu() {
    await selectBackend("cpu");
    return "plain JavaScript";
  },
};

async function openWasm(threads: number): Promise<string> {
  const wasm = require("@tensorflow/tfjs-backend-wasm") as { setWasmPaths(folder: string): void };
  wasm.setWasmPaths(`${dirname(require.resolve("@tensorflow/tfjs-backend-wasm"))}/`);
  await selectBackend("wasm");
  const blas = loadBlas(threads);
  replaceWasmMatMul(blas);
  return blas?.name ?? "SIMD, no BLAS found";
}

/** Tensors that are held on the backend of this thread; what does not come back to its old number leaks. */
export function liveTensors(): number {
  return tf.memory().numTensors;
}

async function selectBackend(name: string): Promise<void> {
  if (!(await tf.setBackend(name))) throw new Error(`TensorFlow.js could not start its ${name} backend`);
}
