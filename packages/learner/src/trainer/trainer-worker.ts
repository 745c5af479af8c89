import { parentPort, workerData } from "node:worker_threads";
import { AgentError, messageOf } from "@afterstate/core";
import type { TransformerConfig } from "../tensor/transformer.js";
import { yieldToServing } from "../tensor/yield-to-serving.js";
import type { PolicyWeights, UpdateRequest } from "../types.js";
import { sharedPace } from "./pace.js";
import { sharedResult } from "./shared-weights.js";
import { createTrainer } from "./trainer.js";

/* The other end of worker-trainer.ts: a trainer on a thread of its own, with a tensor backend of its own. */

const { config, base, held } = workerData as {
  readonly config: TransformerConfig;
  readonly base?: PolicyWeights;
  readonly held: Int32Array;
};
yieldToServing();
const trainer = await createTrainer(config, base, undefined, sharedPace(held));
parentPort!.postMessage({ backend: trainer.backend });
parentPort!.on("message", async ({ id, request }: { id: number; request: UpdateRequest }) => {
  try {
    parentPort!.postMessage({ id, result: sharedResult(await trainer.update(request)) });
  } catch (cause) {
    const code = AgentError.isInstance(cause) ? cause.code : "learner/update-failed";
    parentPort!.postMessage({ id, failure: { code, message: messageOf(cause) } });
  }
});
