// Training and decoding speed of the backend `tensorflow`, in tokens/s, and the ratio of training to PyTorch, where python3 has it.
// Both are measured with one thread and with as many as there are cores, and the better counts. One child process a case.
// node bench/speed/tensorflow.mjs [part of a case's name]
import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import * as tensor from "@afterstate/learner/tensor";
import { quickWeights, sequencesOf } from "../drawn-models.mjs";
import { ADAM, lastJson, median, runPyTorch, SHAPES } from "./engine.mjs";

/** Training on `tensorflow` in tokens/s, over PyTorch's. */
const MARK = 0.8;
/** Tokens of one response. */
const DECODED = 24;
const THREADS = [...new Set([1, availableParallelism()])];

const CASES = ["3.3M", "SmolLM2-135M LoRA"]
  .flatMap((shape) => [
    { shape, kind: "training" },
    { shape, kind: "decoding", streams: 1 },
    { shape, kind: "decoding", streams: 16 },
  ])
  .map((one) => ({ ...one, name: [one.shape, one.kind, one.streams].filter(Boolean).join(", ") }));

if (process.argv[2] !== "--case") {
  for (const one of CASES.filter(({ name }) => name.includes(process.argv[2] ?? ""))) {
    const result = best(THREADS.map((threads) => runCase(one, threads)));
    const peer = one.kind === "training" && result.skipped === undefined ? runPyTorch(one) : undefined;
    const ratio = peer?.tokensPerSecond && Math.round((result.tokensPerSecond / peer.tokensPerSecond) * 100) / 100;
    console.log(
      JSON.stringify({
        bench: "speed/tensorflow",
        ...result,
        ...(peer !== undefined && { peer: peer.skipped ?? peer.backend, peerTokensPerSecond: peer.tokensPerSecond }),
        ...(ratio && { ratio, withinMark: ratio >= MARK }),
      }),
    );
  }
} else {
  const { name, ...one } = CASES.find(({ name }) => name === process.argv[3]);
  console.log(JSON.stringify({ case: name, ...(await measure(one)) }));
}

function runCase({ name }, threads) {
  const child = spawnSync(process.execPath, [fileURLToPath(import.meta.url), "--case", name], {
    encoding: "utf8",
    env: { ...process.env, TF_NUM_INTRAOP_THREADS: String(threads), TF_NUM_INTEROP_THREADS: "1" },
  });
  const found = lastJson(child);
  return found === undefined
    ? { case: name, skipped: child.stderr?.match(/\w+: no tensor .*/)?.[0] ?? "no result" }
    : { ...found, backend: `${found.backend}, ${threads} threads` };
}

function best(results) {
  return results.reduce((best, one) => ((one.tokensPerSecond ?? 0) > (best.tokensPerSecond ?? 0) ? one : best));
}

async function measure({ shape, kind, streams }) {
  const { config, sequences, tokens } = SHAPES[shape];
  const { description } = await tensor.openBackend({ name: "tensorflow" });
  const { lora: _, ...plain } = config;
  const run =
    kind === "training"
      ? { step: trainingStep(SHAPES[shape], plain), tokens: sequences * tokens }
      : { step: decodingStep(plain, streams), tokens: streams * DECODED };
  const { seconds, runs } = await median(run.step);
  return {
    backend: description,
    tokensPerSecond: Math.round((run.tokens / seconds) * 10) / 10,
    runs,
    peakMegabytes: Math.round(process.resourceUsage().maxRSS / 1024),
  };
}

function trainingStep(shape, plain) {
  const { config, sequences, tokens } = shape;
  const base = quickWeights(plain);
  const adapter = config.lora && tensor.initialAdapter(tensor.learnedShapes(config), 1);
  const frozen = adapter && tensor.uploadWeights(base);
  const trainable = tensor.createTrainable(adapter ?? base, ADAM, { frozen });
  const loss = tensor.supervisedLoss(config, sequencesOf(config, sequences, tokens), sequences * tokens);
  return async () => {
    await trainable.accumulate(loss);
    await trainable.step(1e-4, 1);
  };
}

function decodingStep(plain, streams) {
  const parameters = tensor.uploadWeights(quickWeights(plain));
  const requests = Array.from({ length: streams }, (_, seed) => ({
    promptIds: [seed + 1, 2, 3, 4, 5, 6, 7, 8],
    seed,
    temperature: 0,
    maxTokens: DECODED,
    stopIds: new Set(),
  }));
  return () => tensor.sampleBatch(parameters, plain, requests);
}
