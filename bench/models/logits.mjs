// Log-probabilities of SmolLM2-135M-Instruct beside llama.cpp on the same GGUF file, and on the same weights in float32. llama.cpp rounds
// activations to 8 bits where weights are quantised, and by default keeps keys and values as halves: the float32 case has neither.
// Needs the files of `npm run models:test`. node bench/models/logits.mjs
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { openTokenizer, readGguf } from "@afterstate/learner";
import { openBackend, sampleBatch, sequenceLogits, uploadWeights } from "@afterstate/learner/tensor";
import * as tf from "@tensorflow/tfjs";
import { writeFloat32Gguf } from "./write-float32-gguf.mjs";

const MODELS = fileURLToPath(new URL("../../.afterstate/models/", import.meta.url));
const GGUF = join(MODELS, "SmolLM2-135M-Instruct.Q4_1.gguf");
const LLAMA = join(MODELS, "node_modules", "node-llama-cpp", "dist", "index.js");
const CONTINUATION = 64;
/** Two continuations part at a tie when each side's lead of its token over the other's is below this, in nats. */
const TIE = 0.05;
const MARKS = { agreement: 0.99, difference: 0.01 };

if (!existsSync(GGUF) || !existsSync(LLAMA)) {
  console.log(JSON.stringify({ skipped: "SmolLM2 or node-llama-cpp is absent; npm run models:test fetches them" }));
  process.exit(0);
}
const { description: backend } = await openBackend();
const files = readGguf(GGUF);
const tokenizer = openTokenizer(files);
const parameters = uploadWeights(files.weights);
const lines = readFileSync(new URL("data/gsm8k.jsonl", import.meta.url), "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));
const texts = lines.map(({ question, answer }) => tokenizer.encode(`${question}\n${answer}`));
const prompts = lines.map(({ question }) => tokenizer.encodePrompt([{ role: "user", content: question }], []));

const own = { scores: [], continuations: [] };
for (const ids of texts) own.scores.push(await ownScores(ids));
const request = { seed: 1, temperature: 0, maxTokens: CONTINUATION, stopIds: tokenizer.stopIds };
// One after the other: a batch of all would not fit into a WebAssembly heap beside the weights.
for (const promptIds of prompts) {
  const [sample] = await sampleBatch(parameters, files.config, [{ ...request, promptIds }]);
  own.continuations.push(sample.ids);
}

const float32 = join(MODELS, "SmolLM2-135M-Instruct.F32.gguf");
if (!existsSync(float32)) writeFloat32Gguf(GGUF, float32);
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(LLAMA).href);
// One thread: its threads wait by spinning, which on a busy machine takes longer than the work.
console.error(`own side done after ${process.uptime().toFixed(0)} s`);
const llama = await getLlama({ gpu: false, build: "never", maxThreads: 1, logLevel: LlamaLogLevel.error });
const exact = { experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32", flashAttention: false };
await compare("Q4_1 as llama.cpp computes it", GGUF, {});
await compare("the same weights in float32", float32, exact);
await llama.dispose();

/** Top token and its log-probability, and that of the token that follows, at each position of a text that has one. */
async function ownScores(ids) {
  const batch = {
    batch: 1,
    seq: ids.length - 1,
    ids: Int32Array.from(ids.slice(0, -1)),
    targets: new Int32Array(ids.length - 1),
  };
  const logits = tf.tidy(() => sequenceLogits(parameters, files.config, batch));
  const flat = await logits.data();
  logits.dispose();
  const vocab = files.config.vocab_size;
  return ids.slice(1).map((next, t) => scoreOf(flat.subarray(t * vocab, (t + 1) * vocab), next));
}

function scoreOf(row, next) {
  let top = 0;
  for (let id = 1; id < row.length; id++) if (row[id] > row[top]) top = id;
  let sum = 0;
  for (const logit of row) sum += Math.exp(logit - row[top]);
  return { top, topLogProb: -Math.log(sum), logProb: row[next] - row[top] - Math.log(sum) };
}

/** Scores by llama.cpp in the form of ownScores. */
async function theirScores(sequence, ids) {
  await sequence.clearHistory();
  const items = ids
    .slice(0, -1)
    .map((id, t) => [
      id,
      { generateNext: { logits: { filter: { tokens: [ids[t + 1]], includeTop: 2 } }, totalLogitWeight: true } },
    ]);
  const output = await sequence.controlledEvaluate(items);
  return output.map(({ next: { logits, totalLogitWeight } }, t) => {
    const [top, topLogit] = [...logits.entries()].reduce((best, entry) => (entry[1] > best[1] ? entry : best));
    const sum = Math.log(totalLogitWeight);
    return { top, topLogProb: -sum, logProb: logits.get(ids[t + 1]) - topLogit - sum };
  });
}

async function theirContinuation(sequence, prompt) {
  await sequence.clearHistory();
  const ids = [];
  for await (const id of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    ids.push(id);
    if (ids.length >= CONTINUATION || tokenizer.stopIds.has(id)) break;
  }
  return ids;
}

/** How far the two sides lean to different tokens where continuations first part. */
async function partingOf(sequence, prompt, mine, theirs) {
  const at = mine.findIndex((id, t) => id !== theirs[t]);
  if (at === -1 && mine.length === theirs.length) return undefined;
  const before = [...prompt, ...mine.slice(0, at)];
  const lead = async (score) => {
    const [a, b] = [
      (await score([...before, mine[at]])).at(-1).logProb,
      (await score([...before, theirs[at]])).at(-1).logProb,
    ];
    return a - b;
  };
  const ownLead = await lead(ownScores);
  const theirLead = -(await lead((ids) => theirScores(sequence, ids)));
  return { at, ownLead: round(ownLead), theirLead: round(theirLead), tie: ownLead < TIE && theirLead < TIE };
}

async function compare(name, path, contextOptions) {
  const model = await llama.loadModel({ modelPath: path });
  const context = await model.createContext({ contextSize: 1024, ...contextOptions });
  const sequence = context.getSequence();
  const tokenized = lines.filter(
    ({ question, answer }, index) => model.tokenize(`${question}\n${answer}`, false).join() === texts[index].join(),
  ).length;
  let [positions, agreed, difference, largest, topDifference] = [0, 0, 0, 0, 0];
  for (const [index, ids] of texts.entries()) {
    const theirs = await theirScores(sequence, ids);
    own.scores[index].forEach((mine, t) => {
      positions += 1;
      if (mine.top === theirs[t].top) agreed += 1;
      const delta = Math.abs(mine.logProb - theirs[t].logProb);
      difference += delta;
      largest = Math.max(largest, delta);
      topDifference += Math.abs(mine.topLogProb - theirs[t].topLogProb);
    });
  }
  const partings = [];
  for (const [index, prompt] of prompts.entries()) {
    const parting = await partingOf(
      sequence,
      prompt,
      own.continuations[index],
      await theirContinuation(sequence, prompt),
    );
    if (parting !== undefined) partings.push({ prompt: index, ...parting });
  }
  const result = {
    case: name,
    backend,
    texts: texts.length,
    tokenizedAlike: tokenized,
    positions,
    topAgreement: round(agreed / positions),
    meanDifference: round(difference / positions),
    meanTopDifference: round(topDifference / positions),
    largestDifference: round(largest),
    continuations: prompts.length,
    identical: prompts.length - partings.length,
    partings,
  };
  const within =
    result.topAgreement >= MARKS.agreement &&
    result.meanDifference <= MARKS.difference &&
    tokenized === texts.length &&
    partings.every(({ tie }) => tie);
  // llama.cpp's own rounding of activations is not held against us.
  console.log(JSON.stringify(path === float32 ? { ...result, withinMark: within } : { ...result, marksKept: within }));
  await context.dispose();
  await model.dispose();
}

function round(value) {
  return Number(value.toPrecision(4));
}
