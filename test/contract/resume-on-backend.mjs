// Trains updates `from` + 1 … `to` on the backend that AFTERSTATE_BACKEND names, going on from what the folder holds and leaving the
// result there, and prints a digest of the weights and of the optimizer's state.
// node resume-on-backend.mjs <folder> <full | lora> <from> <to>
import { createHash } from "node:crypto";
import { createTrainer, openVersionStore } from "@afterstate/learner";
import { initialAdapter, initialWeights, learnedShapes } from "@afterstate/learner/tensor";

const [folder, kind, from, to] = process.argv.slice(2);
const plain = {
  vocab_size: 23,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 32,
  rope_theta: 10_000,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: false,
};
const lora = { r: 4, lora_alpha: 8, target_modules: ["q_proj", "v_proj", "gate_proj", "down_proj"] };
const config = kind === "lora" ? { ...plain, lora } : plain;
const base = initialWeights(plain, 11);
const first = kind === "lora" ? initialAdapter(learnedShapes(config), 5) : base;

const store = await openVersionStore(folder);
let state = { weights: first };
if (Number(from) > 0) {
  const [weights, optimizer] = [await store.weights(`v${from}`, first), await store.optimizer(`v${from}`, first)];
  state = { weights, optimizer };
}
const trainer = await createTrainer(config, base);
for (let update = Number(from) + 1; update <= Number(to); update++) {
  state = await trainer.update({ ...state, reference: first, samples: samplesOf(update), options: options() });
}
await store.write(manifest(`v${to}`), state.weights, state.optimizer);
const digest = createHash("sha256");
for (const [name, { shape, data }] of [...state.weights, ...state.optimizer]) {
  digest.update(`${name} ${shape}`).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}
console.log(JSON.stringify({ digest: digest.digest("hex"), steps: state.optimizer.get("step").data[0] }));
process.exit(0);

/** Every part of the state matters: moments, the schedule's position, the share of signal. */
function options() {
  return {
    learningRate: 1e-2,
    schedule: { shape: "cosine", warmupSteps: 2, totalSteps: 12, finalShare: 0.1 },
    weightDecay: 0.1,
    stepSize: "noise-scale",
    epochs: 2,
    clipLow: 0.2,
    clipHigh: 0.2,
    klCoefficient: 0.1,
    distillationWeight: 1,
    distillationClip: 5,
    gradientClip: 1,
    lossDenominator: 5,
  };
}

/** Rewards that agree from update to update, so that the step does not shrink to nothing. */
function samplesOf(update) {
  return Array.from({ length: 6 }, (_, row) => {
    const promptIds = Array.from({ length: 3 + row }, (_, t) => (update + row * 5 + t * 3) % plain.vocab_size);
    const ids = [4, (update + row) % plain.vocab_size, 6];
    return {
      of: { episodeId: `e/${row}`, stepIndex: 0 },
      policyVersion: "base",
      tokens: { promptIds, ids, logProbs: [0, 0, 0], mask: [1, 0, 1], temperature: 0.8 },
      advantages: [1, 0, 1],
      ...(row === 0 && { teacherPromptIds: [...promptIds, 14, 15] }),
    };
  });
}

function manifest(version) {
  const learned = { offset: 0, consumed: [], credit: {} };
  const facts = {
    parent: "base",
    ancestors: ["base"],
    createdAt: 0,
    promoted: true,
    samples: [],
    gate: {},
    metrics: {},
  };
  return { version, ...facts, learned };
}
