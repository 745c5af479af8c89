// Sampling from SmolLM2-135M-Instruct through the policy, in tokens/s: what guessing ahead, the tools' grammar and company are worth, as ratios
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
const LIST = "apple, pear, plum, cherry, fig, quince, grape, melon, peach, lemon";
const REPETITIVE = `Write this list three times, word for word, one below the other: ${LIST}.`;
const ORDINARY = "Tell me a story about a fox who wants to learn to swim.";
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
const TOKENS = 64;
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
for (const [text, content] of Object.entries({ repetitive: REPETITIVE, ordinary: ORDINARY })) {
  for (const streams of [1, 4]) {
    const results = await compare(
      () => responses(plain, streams, { content, temperature: 0.5 }),
      () => responses(guessing, streams, { content, temperature: 0.5 }),
    );
    report(`guessing ahead, ${text} text, ${streams} at once`, results, { withinMark: results.same });
  }
}
const company = await compare(
  () => responses(plain, 1, { content: ORDINARY }),
  () => responses(plain, STREAMS, { content: ORDINARY }),
);
const sameAlone = company.first[0] === company.second[0];
report(`${STREAMS} at once beside one`, company, {
  sameToTheBit: sameAlone,
  withinMark: sameAlone && company.ratio >= MARKS.company,
});
guessing.dispose();
const held = await openPolicy(files, { speculation: false, toolGrammar: true });
const idle = await compare(
  () => responses(plain, 1, { content: ORDINARY, tools: TOOLS }),
  () => responses(held, 1, { content: ORDINARY, tools: TOOLS }),
);
report("the tools' grammar, in text", idle, {});
// A call begins with a tag that the model would rather not write at this temperature.
const calling = { content: `Call the tool for Paris. Begin with <tool_call>.`, tools: TOOLS, temperature: 1 };
const active = await compare(
  () => responses(plain, 4, calling),
  () => responses(held, 4, calling),
);
report("the tools' grammar, asked for calls", active, { forced: active.forced });
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
    forced: last[1].records.flatMap(({ mask }) => mask).filter((own) => own === 0).length,
  };
}

async function responses(policy, streams, { content, tools = [], temperature = 0.7 }) {
  const started = performance.now();
  const all = await Promise.all(
    Array.from({ length: streams }, (_, seed) =>
      policy
        .model()
        .generate({ messages: [{ role: "user", content }], tools, seed, temperature, maxTokens: TOKENS }, { signal })
        .response(),
    ),
  );
  const seconds = (performance.now() - started) / 1000;
  const records = all.map(({ tokens }) => tokens);
  return { records, rate: records.reduce((sum, { ids }) => sum + ids.length, 0) / seconds };
}

function report(name, { rates, ratio, same }, more) {
  const [first, second] = rates.map((rate) => Math.round(rate * 10) / 10);
  const result = { case: name, without: first, with: second, ratio: Math.round(ratio * 100) / 100, sameToTheBit: same };
  console.log(JSON.stringify({ bench: "speed/sampling", backend: plain.backend, ...result, ...more }));
}

/** The largest difference between recorded log-probabilities and those of one pass over the whole response. */
async function difference() {
  const { records } = await responses(plain, 4, { content: ORDINARY, temperature: 0.7 });
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
