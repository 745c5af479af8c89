// Prints, as one JSON object, what the backend that AFTERSTATE_BACKEND names makes of small cases: losses, gradients, one update, sampled
// log-probabilities. On every backend it must come out alike; compare-outcomes.mjs says how near.
import { createTrainer, EMBEDDED_POLICY, openBackend, openPolicy, readPolicyFolder } from "@afterstate/learner";
import * as engine from "@afterstate/learner/engine";
import * as tensor from "@afterstate/learner/tensor";

const ADAM = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.01 };
/** Small, but not so small that TensorFlow.js' webgpu backend takes a workgroup for each number of a product: without a GPU that crawls. */
const config = {
  vocab_size: 23,
  hidden_size: 24,
  intermediate_size: 40,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 64,
  rope_theta: 10_000,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: false,
};
/** What else architectures have: biases, norms of queries and keys, heads of a width of their own, a tied head. */
const other = { ...config, head_dim: 8, attention_bias: true, qk_norm: true, tie_word_embeddings: true };
const lora = {
  r: 12,
  lora_alpha: 24,
  target_modules: ["q_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
};

/** Initial weights, larger, so that no gradient is lost in rounding; norms and biases are not all alike. */
const weightsOf = (shape, seed) =>
  new Map(
    [...tensor.initialWeights(shape, seed)].map(([name, { shape, data }]) => [
      name,
      { shape, data: data.map((w, i) => (shape.length > 1 ? 5 * w : w + 0.1 * Math.sin(i + 1))) },
    ]),
  );
const sample = (episodeId, promptIds, ids, advantages, teacherPromptIds) => ({
  of: { episodeId, stepIndex: 0 },
  policyVersion: "base",
  tokens: { promptIds, ids, logProbs: ids.map(() => 0), mask: ids.map((_, t) => (t === 1 ? 0 : 1)), temperature: 0.8 },
  advantages,
  ...(teacherPromptIds && { teacherPromptIds }),
});
const samples = [
  sample("a", [1, 2, 3, 19, 20, 21, 22, 0, 1, 2], [4, 5, 6], [1, 0, 1]),
  sample("b", [7, 8, 9, 10, 11, 4, 4, 3, 2, 1, 16], [12, 13], [-1, 0], [7, 8, 9, 10, 11, 14, 15, 4, 4, 3, 2, 1, 16]),
];
const options = {
  learningRate: 1e-3,
  stepSize: "fixed",
  epochs: 1,
  clipLow: 0.2,
  clipHigh: 0.2,
  klCoefficient: 0.1,
  distillationWeight: 1,
  distillationClip: 5,
  gradientClip: 1e9,
  lossDenominator: 5,
};

const outcome = {};
/** Weights as plain numbers; moments of the first step are the gradient times 1 − β. */
const put = (name, weights, keep = () => true) => {
  for (const [key, { data }] of weights) if (keep(key)) outcome[`${name}: ${key}`] = [...data];
};
const gradients = (key) => key.endsWith(".exp_avg");

async function policyUpdates() {
  for (const [name, shape] of Object.entries({ full: config, other, adapters: { ...config, lora } })) {
    const base = shape.lora && weightsOf(config, 11);
    const weights = base ? tensor.initialAdapter(tensor.learnedShapes(shape), 11) : weightsOf(shape, 11);
    if (base) for (const [key, { data }] of weights) if (key.includes("lora_B")) data.fill(0.05);
    const reference = base ? tensor.initialAdapter(tensor.learnedShapes(shape), 12) : weightsOf(shape, 12);
    const trainer = await createTrainer(shape, base);
    const first = await trainer.update({ weights, reference, samples, options });
    const { seconds: _, signalShare: __, ...metrics } = first.metrics;
    outcome[`policy loss, ${name}: metrics`] = Object.values(metrics);
    put(`policy loss, ${name}: gradient`, first.optimizer, gradients);
    if (name === "other") continue;
    const again = { ...options, epochs: 2, gradientClip: 0.1 };
    const second = await trainer.update({ ...first, reference, samples, options: again });
    put(`update, ${name}`, second.weights);
    put(`update, ${name}`, second.optimizer, (key) => /exp_avg/.test(key));
    await trainer.dispose();
  }
}

/** Sequences longer than a tile of any kernel, and of different lengths. */
const sequences = [38, 17].map((length, row) => ({
  ids: Array.from({ length }, (_, t) => (row * 7 + t * 13) % config.vocab_size),
  mask: Array.from({ length }, (_, t) => (t % 5 === 0 ? 0 : 1)),
}));

async function supervised(backend) {
  const weights = weightsOf(config, 13);
  const trainable =
    backend.name === "wasm"
      ? engine.createTrainable(engine.openMachine(backend), config, weights, ADAM)
      : tensor.createTrainable(weights, ADAM);
  const losses = [1, 2].map((denominator) =>
    backend.name === "wasm"
      ? engine.supervisedLoss(sequences, 20 * denominator)
      : tensor.supervisedLoss(config, sequences, 20 * denominator),
  );
  outcome["supervised loss: losses"] = [];
  for (const [half, loss] of losses.entries()) {
    outcome["supervised loss: losses"].push(await trainable.accumulate(loss, half));
  }
  const { signal, power } = await trainable.agreement();
  outcome["supervised loss: agreement"] = [signal, power];
  outcome["supervised loss: gradient norm"] = [await trainable.step(1e-3, 1e9)];
  put("supervised loss: gradient", await trainable.optimizer(), gradients);
  put("supervised loss: weights after a step", await trainable.weights());
  trainable.dispose();
}

async function sampling() {
  const files = readPolicyFolder(EMBEDDED_POLICY);
  const [vocab_size, hidden_size] = [files.config.vocab_size, 136];
  const small = { ...config, vocab_size, hidden_size, intermediate_size: 160, max_position_embeddings: 128 };
  const policy = await openPolicy({ ...files, config: small, weights: weightsOf(small, 14) });
  const requests = ["7 + 5", "What is 12 * 3?", "9"].map((content, seed) => ({
    messages: [{ role: "user", content }],
    tools: [],
    seed,
    temperature: seed === 1 ? 0.7 : 1,
    maxTokens: 3 + seed,
  }));
  const { signal } = new AbortController();
  const responses = await Promise.all(
    requests.map((request) => policy.model().generate(request, { signal }).response()),
  );
  responses.forEach(({ tokens }, index) => {
    outcome[`sampling: ids ${index}`] = tokens.ids;
    outcome[`sampling: log-probabilities ${index}`] = tokens.logProbs;
  });
  policy.dispose();
}

const backend = await openBackend();
await supervised(backend);
await policyUpdates();
await sampling();
console.log(JSON.stringify({ backend: backend.description, outcome }));
