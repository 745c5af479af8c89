// Prints the log-probabilities, the metrics and a digest of the weights of one small update on the backend that AFTERSTATE_BACKEND names.
import { createTrainer } from "@afterstate/learner";
import { initialWeights, responseLogProbs, uploadWeights } from "@afterstate/learner/tensor";

const config = {
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
const weights = initialWeights(config, 11);
const reference = initialWeights(config, 12);
const sample = (promptIds, ids, advantages, teacherPromptIds) => ({
  of: { episodeId: "e/0", stepIndex: 0 },
  policyVersion: "base",
  tokens: { promptIds, ids, logProbs: ids.map(() => 0), mask: ids.map((_, t) => (t === 1 ? 0 : 1)), temperature: 0.8 },
  advantages,
  ...(teacherPromptIds && { teacherPromptIds }),
});
const samples = [
  sample([1, 2, 3], [4, 5, 6], [1, 0, 1]),
  sample([7, 8, 9, 10, 11], [12, 13], [-1, 0], [7, 8, 9, 10, 11, 14, 15]),
];
const options = {
  learningRate: 1e-3,
  stepSize: "fixed",
  epochs: 2,
  clipLow: 0.2,
  clipHigh: 0.2,
  klCoefficient: 0.1,
  distillationWeight: 1,
  distillationClip: 5,
  gradientClip: 1,
  lossDenominator: 5,
};
const trainer = await createTrainer(config);
const { weights: trained, metrics } = await trainer.update({ weights, reference, samples, options });
const rows = samples.map(({ tokens }) => tokens);
const logProbs = (await responseLogProbs(uploadWeights(trained), config, rows)).flat();
const { seconds: _, ...numbers } = metrics;
console.log(JSON.stringify({ backend: trainer.backend, logProbs, ...numbers }));
process.exit(0);
