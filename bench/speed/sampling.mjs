// Sampling from SmolLM2-135M-Instruct through the policy, in tokens/s: what guessing ahead, the tools' grammar in wait and company are worth, as ratios
// of runs that alternate; and how far recorded log-probabilities are from those of a full forward pass. Responses have to be equal to the
// bit with and without guesses, alone and in company. Needs the file of `npm run models:test`. node bench/speed/sampling.mjs
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openPolicy, readGguf } from "@afterstate/learner";
import { createScorer, openMachine, placeFrozen } from "@afterstate/learner/engine";

const GGUF = join(
  fileURLToPath(new URL("../../.afterstate/models/", import.meta.url)),
  "SmolLM2-135M-Instruct.Q4_1.gguf",
);
const TEXT =
  "The old lighthouse keeper counted seventeen ships before noon, wrote their names into his brown book, and told nobody about the one that had no name and no flag at all.";
const REPETITIVE = [
  { role: "user", content: `Repeat this, word for word: ${TEXT}` },
  { role: "assistant", content: TEXT },
  { role: "user", content: "Repeat it once more, word for word." },
];
const ORDINARY = [{ role: "user", content: "Tell me a story about a fox who wants to learn to swim." }];
const TOOLS = [
  {
    name: "weather",
    description: "Tells the weather.",
    inputSchema: {
      type: "object",
      properties: { city: { type: "string" }, unit: { enum: ["celsius", "fahrenheit"] } },
      required: ["city", "unit"],
    },
  },
];
const TOKENS = 48;
const STREAMS = 16;
const ROUNDS = 3;
const MARKS = { logProbs: 1e-4, company: 4 };

if (!existsSync(GGUF)) {
  console.log(JSON.stringify({ skipped: "SmolLM2 is absent; npm run models:test fetches it" }));
  process.exit(0);
}
const files = readGguf(GGUF);
const signal = new AbortController().signal;

const plain = await openPolicy(files, { speculation: false });
const guessing = await openPolicy(files);
for (const [text, messages] of Object.entries({ repetitive: REPETITIVE, ordinary: ORDINARY })) {
  for (const streams of [1, 4]) {
    const results = await compare(
      () => responses(plain, streams, { messages, temperature: 0.3 }),
      () => responses(guessing, streams, { messages, temperature: 0.3 }),
    );
    report(`guessing ahead, ${text} text, ${streams} at once`, results, { withinMark: results.same });
  }
}
const company = await compare(
  () => responses(plain, 1, { messages: ORDINARY }),
  () => responses(plain, STREAMS, { messages: ORDINARY }),
);
const sameAlone = company.first[0] === company.second[0];
report(`${STREAMS} at once beside one`, company, {
  sameToTheBit: sameAlone,
  withinMark: sameAlone && company.ratio >= MARKS.company,
});
guessing.dispose();
const held = await openPolicy(files, { speculation: false, toolGrammar: true });
const idle = await compare(
  () => responses(plain, 1, { messages: ORDINARY, tools: TOOLS }),
  () => responses(held, 1, { messages: ORDINARY, tools: TOOLS }),
);
report("the tools' grammar, in text", idle, {});
held.dispose();
console.log(JSON.stringify({ case: "log-probabilities beside a full forward pass", ...(await difference()) }));
plain.dispose();

/** Both ways by turns. @returns the ratio of their tokens/s, medians of the rounds. */
async function compare(one, other) {
  const rates = [[], []];
  let last = [];
  for (let round = 0; round <= ROUNDS; round++) {
    last = [await one(), await other()];
    if (round > 0) last.forEach(({ rate }, index) => rates[index].push(rate)); // the first round warms up
  }
  const [first, second] = rates.map((all) => all.sort((a, b) => a - b)[Math.floor(all.length / 2)]);
  const written = last.map(({ records }) => records.map((record) => JSON.stringify(record)));
  return {
    rates: [first, second],
    ratio: second / first,
    first: written[0],
    second: written[1],
    same: JSON.stringify(written[0]) === JSON.stringify(written[1]),
  };
}

/** Tokens/s from the first token of all on: prompts are not what is compared. */
async function responses(policy, streams, { messages, tools = [], temperature = 0.7 }) {
  const request = { messages, tools, temperature, maxTokens: TOKENS };
  const prompts = await seconds(() =>
    Promise.all(Array.from({ length: streams }, (_, seed) => respond(policy, { ...request, seed, maxTokens: 1 }))),
  );
  const whole = await seconds(() =>
    Promise.all(Array.from({ length: streams }, (_, seed) => respond(policy, { ...request, seed }))),
  );
  const records = whole.value.map(({ tokens }) => tokens);
  const written = records.reduce((sum, { ids }) => sum + ids.length - 1, 0);
  return { records, rate: written / Math.max(1e-3, whole.taken - prompts.taken) };
}

function respond(policy, request) {
  return policy.model().generate(request, { signal }).response();
}

async function seconds(run) {
  const started = performance.now();
  const value = await run();
  return { value, taken: (performance.now() - started) / 1000 };
}

function report(name, { rates, ratio, same }, more) {
  const [first, second] = rates.map((rate) => Math.round(rate * 10) / 10);
  const result = { case: name, without: first, with: second, ratio: Math.round(ratio * 100) / 100, sameToTheBit: same };
  console.log(JSON.stringify({ bench: "speed/sampling", backend: plain.backend, ...result, ...more }));
}

/** The largest difference between recorded log-probabilities and those of one pass over the whole response. */
async function difference() {
  const { records } = await responses(plain, 4, { messages: ORDINARY, temperature: 0.7 });
  const machine = openMachine();
  const scorer = createScorer(machine, files.config, placeFrozen(machine, files.weights).placed);
  let largest = 0;
  for (const { promptIds, ids, logProbs, temperature } of records) {
    const inputs = [...promptIds, ...ids].slice(0, -1);
    const tokens = {
      rows: inputs.length,
      sequences: [{ start: 0, length: inputs.length }],
      ids: Int32Array.from(inputs),
      positions: Int32Array.from(inputs, (_, t) => t),
      longest: inputs.length,
    };
    const full = scorer.score(tokens, {
      rows: Int32Array.from(ids, (_, t) => promptIds.length - 1 + t),
      targets: Int32Array.from(ids),
      inverseTemperatures: new Float32Array(ids.length).fill(1 / temperature),
    });
    logProbs.forEach((logProb, t) => {
      largest = Math.max(largest, Math.abs(logProb - full[t]));
    });
  }
  machine.dispose();
  return { responses: records.length, largest, withinMark: largest <= MARKS.logProbs };
}
