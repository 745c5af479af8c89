import { Worker } from "node:worker_threads";
import { AgentError } from "@afterstate/core";
import type { TransformerConfig } from "../tensor/transformer.js";
import type { PolicyTrainer, PolicyWeights, UpdateResult } from "../types.js";
import { sharedPace } from "./pace.js";
import { sharedRequest } from "./shared-weights.js";

type Reply =
  | { readonly backend: string }
  | { readonly id: number; readonly result: UpdateResult }
  | { readonly id: number; readonly failure: { readonly code: string; readonly message: string } };

interface Pending {
  readonly resolve: (result: UpdateResult) => void;
  readonly reject: (cause: AgentError) => void;
}

/**
 * A trainer on a thread of its own: updates never hold up serving.
 *
 * @param base the frozen weights under the adapters, for a config with `lora`; they are copied to the thread.
 * @throws AgentError `learner/trainer-failed` when the thread does not start.
 */
export async function createWorkerTrainer(config: TransformerConfig, base?: PolicyWeights): Promise<PolicyTrainer> {
  const held = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(new URL("./trainer-worker.js", import.meta.url), {
    workerData: { config, held, ...(config.lora !== undefined && { base }) },
  });
  const pending = new Map<number, Pending>();
  let [next, disposed] = [0, false];

  const backend = await new Promise<string>((resolve, reject) => {
    const fail = (cause: unknown) => {
      const failure = new AgentError(
        "learner/trainer-failed",
        `the trainer's thread ended: ${String(cause)}; start the learner again`,
        { cause },
      );
      reject(failure);
      for (const { reject } of pending.values()) reject(failure);
      pending.clear();
    };
    worker.on("error", fail);
    worker.on("exit", (code) => {
      if (!disposed) fail(`exit code ${code}`);
    });
    worker.on("message", (reply: Reply) => {
      if ("backend" in reply) return resolve(reply.backend);
      const waiting = pending.get(reply.id);
      pending.delete(reply.id);
      if ("result" in reply) waiting?.resolve(reply.result);
      else waiting?.reject(new AgentError(reply.failure.code, reply.failure.message));
    });
  });
  worker.unref();

  return {
    backend,
    update: (request) =>
      new Promise((resolve, reject) => {
        const id = next++;
        worker.ref();
        const settle =
          <T>(use: (value: T) => void) =>
          (value: T) => {
            if (pending.size === 0) worker.unref();
            use(value);
          };
        pending.set(id, { resolve: settle(resolve), reject: settle(reject) });
        worker.postMessage({ id, request: sharedRequest(request) });
      }),
    hold: sharedPace(held).hold,
    async dispose() {
      disposed = true;
      await worker.terminate();
    },
  };
}
