// Log-probabilities and greedy continuations of SmolLM2-135M-Instruct beside llama.cpp on the same Q4_1 GGUF file. llama.cpp is asked
// twice: built with BLAS, which takes the dequantised weights in float32 as we do, and which the marks are held against; and as it is
// shipped, where its kernels round activations to 8 bits for quantised weights, which is measured beside its own float32, too.
// Needs the files of `npm run models:test`, cmake and OpenBLAS. Without the last two the first way is llama.cpp as it is shipped on a
// GGUF file of the same weights in float32. node bench/models/logits.mjs
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openTokenizer, readGguf } from "@afterstate/learner";
import { createDecoder, createScorer, openMachine, placeFrozen } from "@afterstate/learner/engine";
import { buildFloat32Peer, openFloat32Peer } from "./llama-cpp/float32-peer.mjs";
import { nodeLlamaCpp, openNodePeer } from "./llama-cpp/node-peer.mjs";
import { writeFloat32Gguf } from "./llama-cpp/write-float32-gguf.mjs";

const MODELS = fileURLToPath(new URL("../../.afterstate/models/", import.meta.url));
const GGUF = join(MODELS, "SmolLM2-135M-Instruct.Q4_1.gguf");
const CONTINUATION = 64;
/** Two continuations part at a tie when each side's lead of its token over the other's is below this, in nats. */
const TIE = 0.05;
/** Options of node-llama-cpp that keep everything in float32. */
const EXACT = { experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32", flashAttention: false };
const MARKS = { agreement: 0.99, difference: 0.01, sampled: 1e-4 };

if (!existsSync(GGUF) || !existsSync(nodeLlamaCpp(MODELS))) {
  console.log(JSON.stringify({ skipped: "SmolLM2 or node-llama-cpp is absent; npm run models:test fetches them" }));
  process.exit(0);
}
const files = readGguf(GGUF);
const tokenizer = openTokenizer(files);
const machine = openMachine();
const { placed } = placeFrozen(machine, files.weights);
const scorer = createScorer(machine, files.config, placed);
const decoder = createDecoder(machine, files.config, placed);
const lines = readFileSync(new URL("data/gsm8k.jsonl", import.meta.url), "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));
const written = lines.map(({ question, answer }) => `${question}\n${answer}`);
const texts = written.map((text) => tokenizer.encode(text));
const prompts = lines.map(({ question }) => tokenizer.encodePrompt([{ role: "user", content: question }], []));
const own = { scores: texts.map(ownScores), continuations: ownContinuations() };
tellSampled();

const { program, absent } = buildFloat32Peer(MODELS);
if (absent !== undefined) console.log(JSON.stringify({ case: "Q4_1, products in float32", skipped: absent }));
const inFloat32 =
  program === undefined
    ? await compare("the same weights written as float32", await openNodePeer(MODELS, float32Copy(), EXACT), {})
    : await compare("Q4_1, products in float32", openFloat32Peer(program, GGUF), {});
await compare("Q4_1, activations rounded to 8 bits", await openNodePeer(MODELS, GGUF, {}), { against: inFloat32 });
process.exit();

/** Top token with its log-probability, and the log-probability of the token that follows, at each position of a text that has one. */
function ownScores(ids) {
  const length = ids.length - 1;
  const positions = Int32Array.from({ length }, (_, t) => t);
  const sequences = [{ start: 0, length }];
  const tokens = { rows: length, sequences, ids: Int32Array.from(ids.slice(0, -1)), positions, longest: length };
  const tops = [];
  const selected = { rows: positions.map((t) => t), targets: Int32Array.from(ids.slice(1)) };
  const vocab = files.config.vocab_size;
  const logProbs = scorer.score(tokens, selected, ({ count, scores }) => {
    for (let row = 0; row < count; row++) tops.push(topOf(machine.arena.view(scores + row * vocab * 4, vocab)));
  });
  return tops.map((top, t) => ({ ...top, logProb: logProbs[t] }));
}

function topOf(row) {
  let top = 0;
  for (let id = 1; id < row.length; id++) if (row[id] > row[top]) top = id;
  let sum = 0;
  for (const logit of row) sum += Math.exp(logit - row[top]);
  return { top, topLogProb: -Math.log(sum) };
}

/** The likeliest tokens one after the other, as the policy decodes them: with caches, all prompts side by side. */
function ownContinuations() {
  const rows = prompts.map((prompt) => ({
    slot: decoder.openSlot(prompt.length + CONTINUATION),
    feed: prompt,
    ids: [],
    logProbs: [],
  }));
  const runs = ({ ids }) => ids.length < CONTINUATION && !tokenizer.stopIds.has(ids.at(-1));
  for (let running = rows; running.length > 0; running = running.filter(runs)) {
    const scores = decoder.decode(running.map(({ slot, feed }) => ({ slot, ids: feed })));
    const vocab = files.config.vocab_size;
    running.forEach((row, index) => {
      const { top, topLogProb } = topOf(scores.subarray(index * vocab, (index + 1) * vocab));
      row.ids.push(top);
      row.logProbs.push(topLogProb);
      row.feed = [row.ids.at(-1)];
    });
  }
  return rows.map(({ ids, logProbs }) => ({ ids, logProbs }));
}

/** Prints how far the log-probabilities of decoding are from those of a full pass over the same tokens. */
function tellSampled() {
  const differences = own.continuations.flatMap(({ ids, logProbs }, index) => {
    const full = ownScores([...prompts[index], ...ids]).slice(prompts[index].length - 1);
    return full.map(({ logProb }, t) => Math.abs(logProb - logProbs[t]));
  });
  const largestDifference = round(differences.reduce((most, value) => Math.max(most, value), 0));
  const withinMark = largestDifference <= MARKS.sampled;
  console.log(
    JSON.stringify({ case: "decoding beside a full pass", tokens: differences.length, largestDifference, withinMark }),
  );
}

/** A peer continues a prompt as we do if, given both, it finds each of our tokens the likeliest: how it parts where it first does not. */
function partingOf(prompt, mine, theirs) {
  const at = mine.findIndex((id, t) => theirs[prompt.length - 1 + t].top !== id);
  if (at === -1) return undefined;
  const { top, topLogProb, logProb } = theirs[prompt.length - 1 + at];
  const before = [...prompt, ...mine.slice(0, at)];
  const ownOf = (id) => ownScores([...before, id]).at(-1).logProb;
  const [ownLead, theirLead] = [ownOf(mine[at]) - ownOf(top), topLogProb - logProb];
  return { at, ownLead: round(ownLead), theirLead: round(theirLead), tie: ownLead < TIE && theirLead < TIE };
}

/**
 * Prints how far we are from a peer. With `against`, scores of the peer in float32, also how far the peer is from itself; the marks are
 * then not held against us. @returns the peer's scores.
 */
async function compare(name, peer, { against }) {
  const theirs = await peer.score(texts);
  const continued = await peer.score(prompts.map((prompt, index) => [...prompt, ...own.continuations[index].ids]));
  const partings = prompts.flatMap((prompt, index) => {
    const parting = partingOf(prompt, own.continuations[index].ids, continued[index]);
    return parting === undefined ? [] : [{ prompt: index, ...parting }];
  });
  const tokenizedAlike =
    peer.tokenize && written.filter((text, index) => peer.tokenize(text).join() === texts[index].join()).length;
  await peer.close();
  const distance = distanceOf(own.scores, theirs);
  const result = {
    case: name,
    backend: machine.description,
    texts: texts.length,
    ...(tokenizedAlike !== undefined && { tokenizedAlike }),
    ...distance,
    ...(against !== undefined && { llamaCppFromItsOwnFloat32: distanceOf(against, theirs) }),
    continuations: prompts.length,
    identical: prompts.length - partings.length,
    partings,
  };
  const within =
    distance.topAgreement >= MARKS.agreement &&
    distance.meanDifference <= MARKS.difference &&
    (tokenizedAlike ?? texts.length) === texts.length &&
    partings.every(({ tie }) => tie);
  console.log(JSON.stringify({ ...result, ...(against === undefined ? { withinMark: within } : {}) }));
  return theirs;
}

/** How far two sides are apart over all positions. */
function distanceOf(scores, others) {
  const pairs = scores.flatMap((text, index) => text.map((one, t) => [one, others[index][t]]));
  const differences = pairs.map(([a, b]) => Math.abs(a.logProb - b.logProb));
  return {
    positions: pairs.length,
    topAgreement: round(mean(pairs.map(([a, b]) => (a.top === b.top ? 1 : 0)))),
    meanDifference: round(mean(differences)),
    largestDifference: round(differences.reduce((most, value) => Math.max(most, value), 0)),
  };
}

/** The GGUF file of the same weights in float32; written where it is not there yet. */
function float32Copy() {
  const path = join(MODELS, "SmolLM2-135M-Instruct.F32.gguf");
  if (!existsSync(path)) writeFloat32Gguf(GGUF, path);
  return path;
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function round(value) {
  return Number(value.toPrecision(4));
}
