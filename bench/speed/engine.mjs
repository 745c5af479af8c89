// Speed and peak memory of the CPU engine, training and decoding, beside TensorFlow.js on wasm, PyTorch and llama.cpp.
// The last two where python3 has torch and `npm run models:test` has fetched node-llama-cpp. Cases first, one child process each, one
// after the other; then what is promised, as ratios of these cases.
// node bench/speed/engine.mjs [part of a case's name]
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createTrainer, EMBEDDED_POLICY, openPolicy, readGguf, readPolicyFolder } from "@afterstate/learner";
import { createDecoder, createTrainable, openMachine, placeFrozen, supervisedLoss } from "@afterstate/learner/engine";
import * as tensor from "@afterstate/learner/tensor";
import { quickWeights, SMALL, SMOLLM2, SMOLLM2_LORA, sequencesOf } from "../drawn-models.mjs";

export const SHAPES = {
  embedded: { config: readPolicyFolder(EMBEDDED_POLICY).config, sequences: 32, tokens: 48 },
  "3.3M": { config: SMALL, sequences: 16, tokens: 128 },
  "SmolLM2-135M LoRA": { config: SMOLLM2_LORA, sequences: 1, tokens: 512 },
  "SmolLM2-135M": { config: SMOLLM2, sequences: 1, tokens: 512 },
};
const MODELS = fileURLToPath(new URL("../../.afterstate/models/", import.meta.url));
const GGUF = join(MODELS, "SmolLM2-135M-Instruct.Q4_1.gguf");
const LLAMA = join(MODELS, "node_modules", "node-llama-cpp", "dist", "index.js");
export const ADAM = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.01 };
/** A measurement goes on until it has taken this long, and has had at least three runs. */
const SECONDS = 6;
const CORES = availableParallelism();
/** Tokens of one response. The first comes with the prompt, which is not decoding: the time begins after it. */
const DECODED = 24;

/** Tokens before a response. */
const PROMPT = [1, 2, 3, 4, 5, 6, 7, 8];
const LORA = "SmolLM2-135M LoRA";

/** What is measured: a shape, on what, doing what. The engine's case of a shape and kind is what the others are compared with. */
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
    return [
      { shape: LORA, on, kind: "training", ...options },
      { shape: "SmolLM2-135M", on, kind: "decoding", streams: 1, ...options },
      { shape: "SmolLM2-135M", on, kind: "decoding", streams: 16, ...options },
    ];
  }),
  { shape: LORA, on: "PyTorch", kind: "training" },
  ...["F32", "F16"].map((type) => ({
    shape: "SmolLM2-135M",
    on: `llama.cpp in ${type}`,
    kind: "decoding",
    streams: 1,
    type,
  })),
  { shape: LORA, on: "engine, layers computed again", kind: "training", activationBytes: 0 },
  { shape: "SmolLM2-135M", on: "engine", kind: "training" },
  { shape: "SmolLM2-135M", on: "engine, layers computed again", kind: "training", activationBytes: 0 },
  { shape: LORA, on: "engine", kind: "updates" },
  { shape: "SmolLM2-135M", on: "engine", kind: "serving", streams: 16 },
].map((one) => ({ ...one, name: [one.shape, one.kind, one.streams, one.on].filter(Boolean).join(", ") }));

const speedOf = (name) => (results) => results.get(name)?.tokensPerSecond;
const ratioOf = (name, peer) => (results) => speedOf(name)(results) / speedOf(peer)(results);
/** Of either way to train, the trainer's whole update or a bare step. */
const trainingMemory = (results) =>
  Math.max(...["training", "updates"].map((kind) => results.get(`${LORA}, ${kind}, engine`)?.peakMegabytes));
/** What is promised. What lacks a case is skipped. */
const MARKS = [
  ...["3.3M", LORA].flatMap((shape) => [
    {
      mark: `${shape}, training, engine to PyTorch`,
      of: ratioOf(`${shape}, training, engine`, `${shape}, training, PyTorch`),
      atLeast: 0.8,
    },
    {
      mark: `${shape}, training, engine without BLAS to PyTorch`,
      of: ratioOf(`${shape}, training, engine without BLAS`, `${shape}, training, PyTorch`),
      atLeast: 0.15,
    },
  ]),
  ...["F32", "F16"].map((type) => ({
    mark: `SmolLM2-135M, decoding, 1, engine to llama.cpp in ${type}`,
    of: ratioOf("SmolLM2-135M, decoding, 1, engine", `SmolLM2-135M, decoding, 1, llama.cpp in ${type}`),
    atLeast: 0.5,
  })),
  {
    mark: "SmolLM2-135M, decoding, engine, 16 streams to 1",
    of: ratioOf("SmolLM2-135M, decoding, 16, engine", "SmolLM2-135M, decoding, 1, engine"),
    atLeast: 4,
  },
  { mark: `${LORA}, training at 512 tokens, peak MB`, of: trainingMemory, atMost: 5000 },
  {
    mark: "SmolLM2-135M, serving, peak MB",
    of: (results) => results.get("SmolLM2-135M, serving, 16, engine")?.peakMegabytes,
    atMost: 1500,
  },
];

if (realpathSync(process.argv[1]) !== fileURLToPath(import.meta.url)) {
  // Another bench takes its shapes and its clock from here.
} else if (process.argv[2] !== "--case") {
  const wanted = CASES.filter(({ name }) => name.includes(process.argv[2] ?? ""));
  const results = new Map();
  for (const one of wanted) {
    const result = one.on === "PyTorch" ? runPyTorch(one) : one.type ? runLlama(one) : runCase(one);
    results.set(one.name, result);
    const engine = results.get(one.name.replace(one.on, "engine"));
    const ratio = one.on !== "engine" && engine?.tokensPerSecond / result.tokensPerSecond;
    console.log(JSON.stringify({ ...result, ...(ratio && { engineIsFasterBy: Math.round(ratio * 100) / 100 }) }));
  }
  for (const { mark, of, atLeast = 0, atMost = Number.POSITIVE_INFINITY } of MARKS) {
    const value = of(results);
    if (!Number.isFinite(value)) {
      if (process.argv[2] === undefined)
        console.log(JSON.stringify({ case: mark, skipped: "a case of it has no result" }));
      continue;
    }
    const shown = Math.round(value * 100) / 100;
    const wanted = atMost === Number.POSITIVE_INFINITY ? { atLeast } : { atMost };
    console.log(
      JSON.stringify({ case: mark, value: shown, ...wanted, withinMark: value >= atLeast && value <= atMost }),
    );
  }
} else {
  console.log(JSON.stringify(await measure(CASES.find(({ name }) => name === process.argv[3]))));
  process.exit(0);
}

function runCase({ name, blas }) {
  const child = spawnSync(process.execPath, [fileURLToPath(import.meta.url), "--case", name], {
    encoding: "utf8",
    env: { ...process.env, ...(blas && { AFTERSTATE_BLAS: blas }) },
  });
  return lastJson(child) ?? failure(name, child);
}

export function runPyTorch({ name, shape }) {
  const { config, sequences, tokens } = SHAPES[shape];
  const program = fileURLToPath(new URL("torch_step.py", import.meta.url));
  const request = JSON.stringify({ config, sequences, tokens, seconds: SECONDS, threads: CORES });
  const child = spawnSync("python3", [program, request], { encoding: "utf8" });
  if (child.error || child.stderr.includes("No module named")) return { case: name, skipped: "python3 has no torch" };
  const found = lastJson(child);
  return found === undefined ? failure(name, child) : { case: name, ...found };
}

function runLlama({ name, shape, type }) {
  if (!existsSync(LLAMA)) return { case: name, skipped: "node-llama-cpp is absent; npm run models:test fetches it" };
  const { config } = SHAPES[shape];
  const folder = mkdtempSync(join(tmpdir(), "afterstate-llama-"));
  const program = fileURLToPath(new URL("peers/llama-decoding.mjs", import.meta.url));
  const measured = { tokens: DECODED, prompt: PROMPT, seconds: SECONDS, threads: CORES };
  const request = JSON.stringify({ module: LLAMA, folder, config, type, ...measured });
  const child = spawnSync(process.execPath, [program, request], { encoding: "utf8" });
  rmSync(folder, { recursive: true });
  const found = lastJson(child);
  return found === undefined ? failure(name, child) : { case: name, ...found };
}

function failure(name, { stderr }) {
  return { case: name, failed: stderr.match(/\w*Error: .*/)?.[0] ?? "it ended without a result", withinMark: false };
}

export function lastJson({ stdout }) {
  const line = stdout?.split("\n").findLast((text) => text.startsWith("{"));
  return line === undefined ? undefined : JSON.parse(line);
}

async function measure({ name, shape, on, kind, streams, activationBytes }) {
  if (kind === "serving" && !existsSync(GGUF)) {
    return { case: name, skipped: "SmolLM2 is absent; npm run models:test fetches it" };
  }
  const run = await runOf({ shape: SHAPES[shape], on, kind, streams, activationBytes });
  const { seconds, runs } = await median(run.step);
  return {
    case: name,
    backend: run.backend,
    tokensPerSecond: Math.round((run.tokens / seconds) * 10) / 10,
    runs,
    peakMegabytes: Math.round(process.resourceUsage().maxRSS / 1024),
  };
}

function runOf({ shape, on, kind, streams, activationBytes }) {
  if (kind === "serving") return serving(streams);
  const { lora, ...plain } = shape.config;
  const base = quickWeights(plain);
  const adapter = lora && tensor.initialAdapter(tensor.learnedShapes(shape.config), 1);
  if (kind === "updates") return updates(shape, base, adapter);
  if (on === "TensorFlow.js wasm") return onTensors(shape, base, kind, streams);
  return onEngine(shape, base, adapter, kind, streams, activationBytes);
}

function onEngine(shape, base, adapter, kind, streams, activationBytes) {
  const { config, sequences, tokens } = shape;
  const machine = openMachine();
  const backend = `${machine.description}, ${CORES} threads`;
  if (kind === "training") {
    const frozen = adapter && placeFrozen(machine, base).placed;
    const trainable = createTrainable(machine, config, adapter ?? base, ADAM, { frozen, activationBytes });
    const loss = supervisedLoss(sequencesOf(config, sequences, tokens), sequences * tokens);
    const step = () => {
      trainable.accumulate(loss);
      trainable.step(1e-4, 1);
    };
    return { backend, tokens: sequences * tokens, step };
  }
  const decoder = createDecoder(machine, config, placeFrozen(machine, base).placed);
  const step = () => {
    const slots = Array.from({ length: streams }, () => decoder.openSlot(PROMPT.length + DECODED));
    decoder.decode(slots.map((slot, row) => ({ slot, ids: [row + 1, ...PROMPT.slice(1)] })));
    const started = performance.now();
    for (let i = 1; i < DECODED; i++) {
      decoder.decode(slots.map((slot) => ({ slot, ids: [slot.length % config.vocab_size] })));
    }
    const seconds = (performance.now() - started) / 1000;
    for (const slot of slots) slot.free();
    return seconds;
  };
  return { backend, tokens: streams * (DECODED - 1), step };
}

async function onTensors(shape, base, kind, streams) {
  const { config, sequences, tokens } = shape;
  const { description } = await tensor.openBackend({ name: "wasm-tfjs", threads: CORES });
  const backend = `${description}, ${CORES} threads`;
  if (kind === "training") {
    const trainable = tensor.createTrainable(base, ADAM);
    const loss = tensor.supervisedLoss(config, sequencesOf(config, sequences, tokens), sequences * tokens);
    const step = async () => {
      await trainable.accumulate(loss);
      await trainable.step(1e-4, 1);
    };
    return { backend, tokens: sequences * tokens, step };
  }
  const parameters = tensor.uploadWeights(base);
  const step = async () => {
    let started;
    const requests = Array.from({ length: streams }, (_, seed) => ({
      promptIds: [seed + 1, ...PROMPT.slice(1)],
      seed,
      temperature: 0,
      maxTokens: DECODED,
      stopIds: new Set(),
      onToken: () => {
        started ??= performance.now();
      },
    }));
    await tensor.sampleBatch(parameters, config, requests);
    return (performance.now() - started) / 1000;
  };
  return { backend, tokens: streams * (DECODED - 1), step };
}

/** Whole updates of a trainer: one step of 512 tokens, half of them sampled, with a pull to the reference. */
async function updates({ config, tokens }, base, adapter) {
  await tensor.openBackend({ name: "wasm" });
  const trainer = await createTrainer(config, base);
  const ids = Array.from({ length: tokens }, (_, t) => (t * 13) % config.vocab_size);
  const [promptIds, sampled] = [ids.slice(0, tokens / 2), ids.slice(tokens / 2)];
  const ones = sampled.map(() => 1);
  const sample = {
    of: { episodeId: "e/0", stepIndex: 0 },
    policyVersion: "base",
    tokens: { promptIds, ids: sampled, logProbs: sampled.map(() => 0), mask: ones, temperature: 1 },
    advantages: ones,
  };
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
    lossDenominator: sampled.length,
  };
  const step = () => trainer.update({ weights: adapter, reference: adapter, samples: [sample], options });
  return { backend: `${trainer.backend}, ${CORES} threads`, tokens, step };
}

/** The real model as it is served: read from its file, and asked by several at once. */
async function serving(streams) {
  await tensor.openBackend({ name: "wasm" });
  const policy = await openPolicy(readGguf(GGUF), { temperature: 1, maxTokens: DECODED });
  const model = policy.model();
  let tokens = 0;
  const ask = async (seed) => {
    const messages = [{ role: "user", content: `Tell me a story about the number ${seed}.` }];
    const stream = model.generate({ messages, tools: [], seed }, { signal: new AbortController().signal });
    const { usage } = await stream.response();
    tokens += usage.outputTokens;
  };
  const step = () => Promise.all(Array.from({ length: streams }, (_, seed) => ask(seed)));
  await step();
  return { backend: `${policy.backend}, ${CORES} threads`, tokens, step };
}

/** Seconds of the median run, after one that does not count. */
/** The median of a step's seconds: those it returns, or all it takes. */
export async function median(step) {
  await step();
  const seconds = [];
  const begun = performance.now();
  while (seconds.length < 3 || performance.now() - begun < SECONDS * 1000) {
    const started = performance.now();
    const taken = await step();
    seconds.push(typeof taken === "number" ? taken : (performance.now() - started) / 1000);
  }
  return { seconds: seconds.sort((a, b) => a - b)[Math.floor(seconds.length / 2)], runs: seconds.length };
}
