// What bench/gpu/run runs: the contract of all backends on webgpu, tokens/s of training and decoding, PyTorch's beside them.
// One child process a case. Prints JSON lines; a driver that is no GPU is marked in every line, and its results are never kept.
import { execFileSync, spawnSync } from "node:child_process";
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import * as tensor from "@afterstate/learner/tensor";
import { quickWeights, sequencesOf } from "../drawn-models.mjs";
import { CASES, SHAPES } from "./cases.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const PARTS = ["correctness", "training", "decoding", "torch"];
const ADAM = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.01 };
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    probe: { type: "boolean", default: false },
    case: { type: "string" },
    tiny: { type: "boolean", default: false },
    seconds: { type: "string", default: "5" },
    out: { type: "string" },
  },
});
const unknown = positionals.find((part) => !PARTS.includes(part));
if (unknown !== undefined) throw new Error(`there is no part "${unknown}"; parts are ${PARTS.join(", ")}`);

if (options.probe) await probe();
else if (options.case !== undefined) console.log(JSON.stringify(await measure(CASES[options.case])));
else await runParts(positionals.length > 0 ? positionals : PARTS);

/** Whether WebGPU finds an adapter at all; it says which. */
async function probe() {
  try {
    process.stderr.write(`${(await tensor.openBackend({ name: "webgpu" })).description}\n`);
  } catch (cause) {
    process.stderr.write(`${cause.message}\n`);
    process.exitCode = 1;
  }
}

async function runParts(parts) {
  const where = await circumstances();
  if (options.out !== undefined && !where.gpu) {
    process.stderr.write(`${where.adapter} is no GPU: nothing is written to ${options.out}\n`);
  }
  const print = (line) => {
    const text = JSON.stringify({ bench: "gpu", ...line, ...where });
    console.log(text);
    if (options.out !== undefined && where.gpu) appendFileSync(options.out, `${text}\n`);
  };
  if (parts.includes("correctness")) for (const line of correctness()) print({ part: "correctness", ...line });
  const wanted = Object.keys(CASES).filter((name) => parts.includes(CASES[name].kind) || parts.includes("torch"));
  const speed = new Map();
  for (const name of wanted.filter((name) => parts.includes(CASES[name].kind))) {
    const args = ["--expose-gc", here("measure.mjs"), "--case", name, "--seconds", options.seconds];
    const line = lastJson(process.execPath, [...args, ...(options.tiny ? ["--tiny"] : [])]);
    speed.set(name, line.tokensPerSecond);
    print({ part: CASES[name].kind, case: name, ...line });
  }
  if (!parts.includes("torch")) return;
  for (const line of torch(wanted)) {
    const own = speed.get(line.case);
    const ratio =
      where.gpu && own && line.tokensPerSecond
        ? { webgpuToTorch: Math.round((own / line.tokensPerSecond) * 1000) / 1000 }
        : {};
    print({ part: "torch", ...line, ...ratio });
  }
}

/** What was measured on. `gpu` is false for a driver that computes on the processor. */
async function circumstances() {
  const { description } = await tensor.openBackend({ name: "webgpu" });
  // Not asked for by name, webgpu is chosen only where there is a GPU.
  const program =
    "import('@afterstate/learner/tensor').then(async (t) => console.log(JSON.stringify(await t.openBackend())))";
  const chosen = lastJson(process.execPath, ["--input-type=module", "--eval", program], { AFTERSTATE_BACKEND: "" });
  const smi = ["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"];
  const packed = here("../../commit.json");
  return {
    adapter: description,
    gpu: chosen.name === "webgpu",
    driver: output("nvidia-smi", smi) ?? "no nvidia-smi",
    vulkan: process.env.AFTERSTATE_VULKAN_TRIED ?? process.env.VK_ICD_FILENAMES ?? "default",
    ...(options.tiny && { tiny: true }),
    date: new Date().toISOString(),
    commit: existsSync(packed)
      ? JSON.parse(readFileSync(packed, "utf8"))
      : (output("git", ["rev-parse", "--short", "HEAD"]) ?? "unknown"),
    node: process.versions.node,
  };
}

/** The first line of a program's output; undefined when it cannot run. */
function output(command, args) {
  try {
    return execFileSync(command, args, { encoding: "utf8", cwd: here("."), stdio: ["ignore", "pipe", "ignore"] }).split(
      "\n",
    )[0];
  } catch {
    return undefined;
  }
}

function lastJson(command, args, environment = {}) {
  const { stdout, stderr, status } = spawnSync(command, args, {
    encoding: "utf8",
    cwd: here("."),
    env: { ...process.env, ...environment },
  });
  const line = stdout?.split("\n").findLast((text) => text.startsWith("{"));
  if (status === 0 && line !== undefined) return JSON.parse(line);
  return { failure: stderr?.split("\n").findLast((text) => /Error|error/.test(text)) ?? `exit code ${status}` };
}

/** The contract test of all backends, as a plain program. */
function correctness() {
  const { stdout, stderr } = spawnSync(process.execPath, [here("../../test/contract/compare-outcomes.mjs"), "webgpu"], {
    encoding: "utf8",
  });
  const lines = stdout.split("\n").filter((text) => text.startsWith("{"));
  if (lines.length === 0) return [{ alike: false, failure: stderr.trim().split("\n").at(-1) }];
  return lines.map((text) => {
    const { backend: _, apart, failure, ...rest } = JSON.parse(text);
    const alike = failure === undefined && apart.length === 0;
    if (!alike) process.exitCode = 1;
    return { alike, ...rest, ...(failure ? { failure } : { apart }) };
  });
}

/** PyTorch's speed at the same cases, with TF32 products off and on. */
function torch(names) {
  const cases = names.map((name) => {
    const { shape, ...rest } = CASES[name];
    return { case: name, ...rest, config: configOf(shape), tokens: tokensOf(CASES[name]) };
  });
  const request = JSON.stringify({ cases, seconds: secondsOf(), tiny: options.tiny });
  const child = spawnSync("python3", [here("torch_gpu.py")], { encoding: "utf8", input: request });
  const lines = child.stdout?.split("\n").filter((text) => text.startsWith("{")) ?? [];
  if (lines.length > 0) return lines.map((text) => JSON.parse(text));
  return [{ skipped: child.stderr?.trim().split("\n").at(-1) || "there is no python3" }];
}

function configOf(shape) {
  const { config } = SHAPES[shape];
  return options.tiny
    ? {
        ...config,
        vocab_size: 512,
        hidden_size: 272,
        intermediate_size: 288,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
      }
    : config;
}
function tokensOf({ tokens }) {
  return options.tiny ? 8 : tokens;
}
function secondsOf() {
  return options.tiny ? 0 : Number(options.seconds);
}

async function measure(one) {
  const { shape, kind, count } = one;
  await tensor.openBackend({ name: "webgpu" });
  const dispatched = countDispatches();
  const config = configOf(shape);
  const tokens = tokensOf(one);
  const run = kind === "training" ? training(config, count, tokens) : decoding(config, count, tokens);
  await run();
  const before = dispatched();
  await run();
  const dispatches = dispatched() - before;
  const seconds = [];
  const begun = performance.now();
  while (seconds.length < (options.tiny ? 1 : 3) || performance.now() - begun < secondsOf() * 1000) {
    const started = performance.now();
    await run();
    seconds.push((performance.now() - started) / 1000);
  }
  const median = seconds.sort((a, b) => a - b)[Math.floor(seconds.length / 2)];
  return {
    tokensPerSecond: Math.round((count * tokens * 10) / median) / 10,
    milliseconds: Math.round(median * 1e5) / 100,
    runs: seconds.length,
    dispatches,
    residentMegabytes: Math.round(process.resourceUsage().maxRSS / 1024),
  };
}

function countDispatches() {
  let dispatches = 0;
  const { prototype } = globalThis.GPUComputePassEncoder;
  const { dispatchWorkgroups } = prototype;
  prototype.dispatchWorkgroups = function (...size) {
    dispatches += 1;
    return dispatchWorkgroups.apply(this, size);
  };
  return () => dispatches;
}

/** A training step: loss, gradient, AdamW. */
function training(config, count, tokens) {
  const { lora, ...plain } = config;
  const base = quickWeights(plain);
  const frozen = lora && tensor.uploadWeights(base);
  const weights = lora ? tensor.initialAdapter(tensor.learnedShapes(config), 1) : base;
  const trainable = tensor.createTrainable(weights, ADAM, { frozen });
  const loss = tensor.supervisedLoss(config, sequencesOf(config, count, tokens), count * tokens);
  return async () => {
    const value = await trainable.accumulate(loss);
    const norm = await trainable.step(1e-4, 1);
    if (!(Math.abs(value) < 100 && norm > 0)) throw new Error(`Error: loss ${value}, norm of the gradient ${norm}`);
  };
}

/** `count` responses side by side after prompts of eight tokens. */
function decoding({ lora: _, ...config }, count, tokens) {
  const parameters = tensor.uploadWeights(quickWeights(config));
  const requests = Array.from({ length: count }, (_, seed) => ({
    promptIds: [seed + 1, 2, 3, 4, 5, 6, 7, 8],
    seed,
    temperature: 0,
    maxTokens: tokens,
    stopIds: new Set(),
  }));
  return () => tensor.sampleBatch(parameters, config, requests);
}
