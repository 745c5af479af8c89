// Training and sampling speed of the embedded policy's architecture on every tensor backend of this machine, in tokens/s, and the
// ratio to the wasm and cpu backends as TensorFlow.js ships them. One child process a backend, one after the other.
// node bench/speed/policy.mjs
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { EMBEDDED_POLICY, readPolicyFolder } from "@afterstate/learner";
import {
  createTrainable,
  loadBlas,
  openBackend,
  replaceWasmMatMul,
  restoreWasmMatMul,
  sampleBatch,
  supervisedLoss,
  uploadWeights,
} from "@afterstate/learner/tensor";

const CASES = {
  "wasm as shipped": { name: "wasm", before: restoreWasmMatMul },
  "wasm, transpose first": { name: "wasm", before: () => replaceWasmMatMul(undefined) },
  "wasm on BLAS, 1 thread": { name: "wasm", blas: 1 },
  "wasm on BLAS, 2 threads": { name: "wasm", blas: 2 },
  "cpu as shipped": { name: "cpu" },
  webgpu: { name: "webgpu" },
  tensorflow: { name: "tensorflow" },
};
const SEQUENCES = 32;
const LENGTH = 49;
const SAMPLED = 24;
const RUNS = { fast: 7, cpu: 1 };

if (process.argv[2] === undefined) {
  const results = Object.keys(CASES).map((name) => {
    const child = spawnSync(process.execPath, [fileURLToPath(import.meta.url), name], { encoding: "utf8" });
    const line = child.stdout?.split("\n").findLast((text) => text.startsWith("{"));
    return line === undefined
      ? { case: name, skipped: child.stderr.match(/\w+: .*/)?.[0] ?? "no result" }
      : JSON.parse(line);
  });
  const shipped = results.find((result) => result.case === "wasm as shipped");
  for (const result of results) {
    const ratios =
      result.skipped === undefined && shipped?.skipped === undefined
        ? {
            trainingRatio: round(result.trainingTokensPerSecond / shipped.trainingTokensPerSecond),
            samplingRatio: round(result.samplingTokensPerSecond / shipped.samplingTokensPerSecond),
          }
        : {};
    console.log(JSON.stringify({ bench: "speed/policy", ...result, ...ratios }));
  }
} else {
  console.log(JSON.stringify(await measure(process.argv[2])));
}

async function measure(name) {
  const { name: backend, before, blas } = CASES[name];
  const { description } = await openBackend({ name: backend });
  before?.();
  if (blas !== undefined) {
    const library = loadBlas(blas);
    if (library === undefined) throw new Error("BLAS: neither OpenBLAS nor Accelerate is on this machine");
    replaceWasmMatMul(library);
  }
  const { config, weights } = readPolicyFolder(EMBEDDED_POLICY);
  const sequences = Array.from({ length: SEQUENCES }, (_, row) => ({
    ids: Array.from({ length: LENGTH }, (_, t) => (row * 7 + t * 13) % config.vocab_size),
    mask: Array(LENGTH).fill(1),
  }));
  const trainable = createTrainable(weights, { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0 });
  const train = async () => {
    await trainable.accumulate(supervisedLoss(config, sequences, SEQUENCES * LENGTH));
    await trainable.step(1e-4, 1);
  };
  const parameters = uploadWeights(weights);
  const requests = Array.from({ length: 16 }, (_, seed) => ({
    promptIds: sequences[seed].ids.slice(0, 24),
    seed,
    temperature: 1,
    maxTokens: SAMPLED,
    stopIds: new Set(),
  }));
  const sample = () => sampleBatch(parameters, config, requests);
  const runs = backend === "cpu" ? RUNS.cpu : RUNS.fast;
  return {
    case: name,
    backend: description,
    trainingTokensPerSecond: Math.round((SEQUENCES * (LENGTH - 1)) / (await median(train, runs))),
    samplingTokensPerSecond: Math.round((16 * SAMPLED) / (await median(sample, runs))),
  };
}

/** Seconds of the median run, after one that does not count. */
async function median(run, runs) {
  await run();
  const seconds = [];
  for (let i = 0; i < runs; i++) {
    const started = performance.now();
    await run();
    seconds.push((performance.now() - started) / 1000);
  }
  return seconds.sort((a, b) => a - b)[Math.floor(runs / 2)];
}

function round(ratio) {
  return Math.round(ratio * 100) / 100;
}
