// What 200 updates of a trainer leave behind: tensors of TensorFlow.js, bytes of the engine's arena, resident memory.
// Each must be after update 200 what it was after update 5. One child process a case, one after the other.
// node bench/speed/leak.mjs [part of a case's name]
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createTrainer, EMBEDDED_POLICY, liveTensors, openBackend, readPolicyFolder } from "@afterstate/learner";
import { openMachine } from "@afterstate/learner/engine";
import { initialAdapter, initialWeights, LORA_TARGETS, learnedShapes } from "@afterstate/learner/tensor";

const SMALL = {
  vocab_size: 512,
  hidden_size: 64,
  intermediate_size: 160,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 256,
  rope_theta: 10_000,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
};
const SHAPES = {
  "small, all weights": SMALL,
  "small, LoRA": { ...SMALL, lora: { r: 8, lora_alpha: 16, target_modules: LORA_TARGETS } },
  embedded: readPolicyFolder(EMBEDDED_POLICY).config,
};
const BACKENDS = ["wasm", "wasm-tfjs", "tensorflow", "webgpu"];
const CASES = BACKENDS.flatMap((backend) =>
  Object.keys(SHAPES).map((shape) => ({ backend, shape, name: `${backend}, ${shape}` })),
);
const UPDATES = 200;
const SETTLED = 5;
const SHOWN_EVERY = 50;
const OPTIONS = {
  learningRate: 1e-4,
  stepSize: "noise-scale",
  epochs: 2,
  clipLow: 0.2,
  clipHigh: 0.2,
  klCoefficient: 0.01,
  distillationWeight: 1,
  distillationClip: 5,
  gradientClip: 1,
  lossDenominator: 80,
};
/**
 * Resident memory may grow by this much, or by this share, between update 5 and 200: what allocators take their time with. Were one
 * copy of the small shape's weights left behind at each update, it would be 90 MB. The collector runs after each update: garbage
 * that waits for it is not left behind.
 */
const MARGIN = { megabytes: 64, share: 0.1 };

if (process.argv[2] !== "--case") {
  for (const { name } of CASES.filter(({ name }) => name.includes(process.argv[2] ?? ""))) await runCase(name);
} else {
  await measure(CASES.find(({ name }) => name === process.argv[3]));
  process.exit(0);
}

/** Prints what the case prints; where its backend cannot be opened, that it is skipped, and why. */
async function runCase(name) {
  const child = spawn(process.execPath, ["--expose-gc", fileURLToPath(import.meta.url), "--case", name]);
  const ended = new Promise((resolve) => child.on("close", resolve));
  let errors = "";
  child.stderr.on("data", (text) => {
    errors += text;
  });
  for await (const line of createInterface({ input: child.stdout })) console.log(line);
  if ((await ended) === 0) return;
  const reason = errors.match(/AgentError: (no tensor backend .*);/)?.[1];
  console.log(
    JSON.stringify(reason ? { case: name, skipped: reason } : { case: name, failed: errors, withinMark: false }),
  );
}

async function measure({ name, backend, shape }) {
  const config = SHAPES[shape];
  const opened = await openBackend({ name: backend });
  const machine = backend === "wasm" ? openMachine(opened) : undefined;
  const { lora, ...plain } = config;
  const base = shape === "embedded" ? readPolicyFolder(EMBEDDED_POLICY).weights : initialWeights(plain, 1);
  const weights = lora === undefined ? base : initialAdapter(learnedShapes(config), 2);
  const trainer = await createTrainer(config, base, machine);
  const seen = [];
  let state = { weights };
  for (let update = 1; update <= UPDATES; update++) {
    const request = { ...state, reference: weights, samples: samplesOf(config, update), options: OPTIONS };
    const { weights: learned, optimizer } = await trainer.update(request);
    state = { weights: learned, optimizer };
    globalThis.gc();
    if (update !== SETTLED && update % SHOWN_EVERY !== 0) continue;
    await new Promise((resolve) => setImmediate(resolve));
    const held = machine === undefined ? { tensors: liveTensors() } : { arenaBytes: machine.arena.allocated };
    seen.push({ update, ...held, megabytes: Math.round(process.memoryUsage().rss / 2 ** 20) });
    console.log(`${name}: ${JSON.stringify(seen.at(-1))}`);
  }
  const [before, after] = [seen[0], seen.at(-1)];
  const grown = after.megabytes - before.megabytes;
  const withinMark =
    after.tensors === before.tensors &&
    after.arenaBytes === before.arenaBytes &&
    grown <= Math.max(MARGIN.megabytes, MARGIN.share * before.megabytes);
  console.log(JSON.stringify({ case: name, backend: trainer.backend, seen, grownMegabytes: grown, withinMark }));
  await trainer.dispose();
}

/** Eight steps of four episodes, of another length at each update, some with a hint. */
function samplesOf({ vocab_size }, update) {
  return Array.from({ length: 8 }, (_, row) => {
    const promptIds = Array.from({ length: 20 + ((update + row * 5) % 20) }, (_, t) => (row + t * 7) % vocab_size);
    const ids = Array.from({ length: 5 + ((update * 3 + row) % 10) }, (_, t) => (row * 3 + t + update) % vocab_size);
    return {
      of: { episodeId: `e/${row >> 1}`, stepIndex: row & 1 },
      policyVersion: "base",
      tokens: { promptIds, ids, logProbs: ids.map(() => 0), mask: ids.map(() => 1), temperature: 1 },
      advantages: ids.map(() => (row % 2 === 0 ? 1 : -1)),
      ...(row % 4 === 0 && { teacherPromptIds: [...promptIds, 5, 6, 7] }),
    };
  });
}
