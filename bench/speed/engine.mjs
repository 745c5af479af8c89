// Training and decoding speed of the CPU engine, in tokens/s, and the ratio to TensorFlow.js on wasm and to PyTorch, where python3 has it.
// One child process a case, one after the other.
// node bench/speed/engine.mjs [part of a case's name]
import { spawnSync } from "node:child_process";
import { realpathSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { createTrainer, EMBEDDED_POLICY, readPolicyFolder } from "@afterstate/learner";
import { createDecoder, createTrainable, openMachine, placeFrozen, supervisedLoss } from "@afterstate/learner/engine";
import * as tensor from "@afterstate/learner/tensor";

const SMOLLM2 = {
  vocab_size: 49_152,
  hidden_size: 576,
  intermediate_size: 1536,
  num_hidden_layers: 30,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  max_position_embeddings: 8192,
  rope_theta: 100_000,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
};
const TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
export const SHAPES = {
  embedded: { config: readPolicyFolder(EMBEDDED_POLICY).config, sequences: 32, tokens: 48 },
  "3.3M": {
    config: {
      ...SMOLLM2,
      vocab_size: 512,
      hidden_size: 256,
      intermediate_size: 704,
      num_hidden_layers: 4,
      num_attention_heads: 8,
      num_key_value_heads: 8,
    },
    sequences: 16,
    tokens: 128,
  },
  "SmolLM2-135M LoRA": {
    config: { ...SMOLLM2, lora: { r: 16, lora_alpha: 32, target_modules: TARGETS } },
    sequences: 1,
    tokens: 512,
  },
};
export const ADAM = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.01 };
/** A measurement goes on until it has taken this long, and has had at least three runs. */
const SECONDS = 6;
const CORES = availableParallelism();
/** Tokens of one response. */
const DECODED = 24;

/** What is measured: a shape, on what, doing what. The first case of a shape and kind is what the others are compared with. */
const CASES = [
  ...["embedded", "3.3M"].flatMap((shape) => [
    { shape, on: "engine", kind: "training" },
    { shape, on: "engine without BLAS", kind: "training", blas: "off" },
    { shape, on: "TensorFlow.js wasm", kind: "training" },
    { shape, on: "PyTorch", kind: "training" },
    { shape, on: "engine", kind: "decoding", streams: 1 },
    { shape, on: "TensorFlow.js wasm", kind: "decoding", streams: 1 },
    { shape, on: "engine", kind: "decoding", streams: 16 },
    { shape, on: "TensorFlow.js wasm", kind: "decoding", streams: 16 },
  ]),
  ...[{}, { blas: "off" }].flatMap((options) => {
    const on = options.blas === "off" ? "engine without BLAS" : "engine";
    const shape = "SmolLM2-135M LoRA";
    return [
      { shape, on, kind: "training", ...options },
      { shape, on, kind: "decoding", streams: 1, ...options },
      { shape, on, kind: "decoding", streams: 16, ...options },
    ];
  }),
  { shape: "SmolLM2-135M LoRA", on: "PyTorch", kind: "training" },
  { shape: "embedded", on: "engine", kind: "memory" },
].map((one) => ({ ...one, name: [one.shape, one.kind, one.streams, one.on].filter(Boolean).join(", ") }));

if (realpathSync(process.argv[1]) !== fileURLToPath(import.meta.url)) {
  // Another bench takes its shapes and its clock from here.
} else if (process.argv[2] !== "--case") {
  const wanted = CASES.filter(({ name }) => name.includes(process.argv[2] ?? ""));
  const first = new Map();
  for (const one of wanted) {
    const result = one.on === "PyTorch" ? runPyTorch(one) : runCase(one);
    const key = `${one.shape} ${one.kind} ${one.streams}`;
    if (one.on === "engine" && one.kind !== "memory") first.set(key, result.tokensPerSecond);
    const ratio = first.has(key) && result.tokensPerSecond && first.get(key) / result.tokensPerSecond;
    console.log(
      JSON.stringify({
        bench: "speed/engine",
        ...result,
        ...(ratio && one.on !== "engine" && { engineIsFasterBy: Math.round(ratio * 100) / 100 }),
      }),
    );
  }
} else {
  console.log(JSON.stringify(await measure(CASES.find(({ name }) => name === process.argv[3]))));
}

function runCase({ name, blas }) {
  const child = spawnSync(process.execPath, ["--expose-gc", fileURLToPath(import.meta.url), "--case", name], {
    encoding: "utf8",
    env: { ...process.env, ...(blas && { AFTERSTATE_BLAS: blas }) },
  });
  return lastJson(child) ?? { case: name, skipped: child.stderr?.match(/\w+: .*/)?.[0] ?? "no result" };
}

export function runPyTorch({ name, shape }) {
  const { config, sequences, tokens } = SHAPES[shape];
  const program = fileURLToPath(new URL("torch_step.py", import.meta.url));
  const request = JSON.stringify({ config, sequences, tokens, seconds: SECONDS, threads: CORES });
  const child = spawnSync("python3", [program, request], { encoding: "utf8" });
  const found = lastJson(child);
  return found === undefined ? { case: name, skipped: "python3 has no torch" } : { case: name, ...found };
}

export function lastJson({ stdout }) {
  const line = stdout?.split("\n").findLast((text) => text.startsWith("{"));
  return line === undefined ? undefined : JSON.parse(line);
}

async function measure({ name, shape, on, kind, streams }) {
  const { config } = SHAPES[shape];
  if (kind === "memory") return { case: name, ...(await memoryOfUpdates(config)) };
  const { lora: _, ...plain } = config;
  const base = quickWeights(plain);
  const adapter = config.lora && tensor.initialAdapter(tensor.learnedShapes(config), 1);
  const run =
    on === "TensorFlow.js wasm"
      ? await onTensors(SHAPES[shape], base, kind, streams)
      : onEngine(SHAPES[shape], base, adapter, kind, streams);
  const { seconds, runs } = await median(run.step);
  return {
    case: name,
    backend: run.backend,
    tokensPerSecond: Math.round((run.tokens / seconds) * 10) / 10,
    runs,
    peakMegabytes: Math.round(process.resourceUsage().maxRSS / 1024),
  };
}

/** Weights of the usual size, made faster than normal ones. */
export function quickWeights(config) {
  return new Map(
    [...tensor.weightShapes(config)].map(([name, shape]) => {
      const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
      if (name.endsWith("norm.weight")) data.fill(1);
      else
        for (let i = 0, state = 1; i < data.length; i++) {
          state = (Math.imul(state, 1_103_515_245) + 12_345) | 0;
          data[i] = state * 2 ** -31 * 0.03;
        }
      return [name, { shape, data }];
    }),
  );
}

/** Token ids of a batch. The first tokens of each sequence are a prompt: half of it does not count. */
export function sequencesOf({ config, sequences, tokens }) {
  return Array.from({ length: sequences }, (_, row) => ({
    ids: Array.from({ length: tokens + 1 }, (_, t) => (row * 7 + t * 13) % config.vocab_size),
    mask: Array(tokens + 1).fill(1),
  }));
}

function onEngine(shape, base, adapter, kind, streams) {
  const { config, sequences, tokens } = shape;
  const machine = openMachine();
  const backend = `${machine.description}, ${CORES} threads`;
  if (kind === "training") {
    const frozen = adapter && placeFrozen(machine, base).placed;
    const trainable = createTrainable(machine, config, adapter ?? base, ADAM, { frozen });
    const loss = supervisedLoss(sequencesOf(shape), sequences * tokens);
    const step = () => {
      trainable.accumulate(loss);
      trainable.step(1e-4, 1);
    };
    return { backend, tokens: sequences * tokens, step };
  }
  const { lora: _, ...plain } = config;
  const decoder = createDecoder(machine, plain, placeFrozen(machine, base).placed);
  const step = () => {
    const slots = Array.from({ length: streams }, () => decoder.openSlot(8 + DECODED));
    decoder.decode(slots.map((slot, row) => ({ slot, ids: [row + 1, 2, 3, 4, 5, 6, 7, 8] })));
    for (let i = 1; i < DECODED; i++) {
      decoder.decode(slots.map((slot) => ({ slot, ids: [slot.length % config.vocab_size] })));
    }
    for (const slot of slots) slot.free();
  };
  return { backend, tokens: streams * DECODED, step };
}

async function onTensors(shape, base, kind, streams) {
  const { config, sequences, tokens } = shape;
  const { description } = await tensor.openBackend({ name: "wasm-tfjs", threads: CORES });
  const backend = `${description}, ${CORES} threads`;
  if (kind === "training") {
    const trainable = tensor.createTrainable(base, ADAM);
    const loss = tensor.supervisedLoss(config, sequencesOf(shape), sequences * tokens);
    const step = async () => {
      await trainable.accumulate(loss);
      await trainable.step(1e-4, 1);
    };
    return { backend, tokens: sequences * tokens, step };
  }
  const parameters = tensor.uploadWeights(base);
  const requests = Array.from({ length: streams }, (_, seed) => ({
    promptIds: [seed + 1, 2, 3, 4, 5, 6, 7, 8],
    seed,
    temperature: 0,
    maxTokens: DECODED,
    stopIds: new Set(),
  }));
  return { backend, tokens: streams * DECODED, step: () => tensor.sampleBatch(parameters, config, requests) };
}

/** Resident memory after the first five updates of a trainer, and after 200. */
async function memoryOfUpdates(config) {
  await tensor.openBackend({ name: "wasm" });
  const trainer = await createTrainer(config);
  const weights = quickWeights(config);
  const sample = (row) => ({
    of: { episodeId: `e/${row}`, stepIndex: 0 },
    policyVersion: "base",
    tokens: {
      promptIds: Array.from({ length: 40 }, (_, t) => (row + t * 7) % config.vocab_size),
      ids: Array.from({ length: 20 }, (_, t) => (row * 3 + t) % config.vocab_size),
      logProbs: Array(20).fill(0),
      mask: Array(20).fill(1),
      temperature: 1,
    },
    advantages: Array(20).fill(row % 2 === 0 ? 1 : -1),
  });
  const samples = Array.from({ length: 16 }, (_, row) => sample(row));
  const options = {
    learningRate: 1e-4,
    stepSize: "fixed",
    epochs: 1,
    clipLow: 0.2,
    clipHigh: 0.2,
    klCoefficient: 0.01,
    distillationWeight: 0,
    distillationClip: 5,
    gradientClip: 1,
    lossDenominator: 320,
  };
  const megabytes = [];
  let now = { weights };
  for (let update = 1; update <= 200; update++) {
    now = await trainer.update({ ...now, reference: weights, samples, options });
    if (update !== 5 && update !== 200) continue;
    globalThis.gc?.();
    megabytes.push(Math.round(process.memoryUsage().rss / 2 ** 20));
  }
  return { backend: trainer.backend, megabytesAfter5: megabytes[0], megabytesAfter200: megabytes[1] };
}

/** Seconds of the median run, after one that does not count. */
export async function median(step) {
  await step();
  const seconds = [];
  const begun = performance.now();
  while (seconds.length < 3 || performance.now() - begun < SECONDS * 1000) {
    const started = performance.now();
    await step();
    seconds.push((performance.now() - started) / 1000);
  }
  return { seconds: seconds.sort((a, b) => a - b)[Math.floor(seconds.length / 2)], runs: seconds.length };
}
