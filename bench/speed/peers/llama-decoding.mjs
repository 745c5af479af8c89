// Decoding of bench/speed/engine.mjs in llama.cpp: the same shape, prompt and count of tokens, one stream. Prints one JSON object.
// node llama-decoding.mjs <JSON: { module, folder, config, type, prompt, tokens, seconds, threads }>
import { rmSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { writeRandomGguf } from "./random-gguf.mjs";

const { module, folder, config, type, prompt, tokens, seconds, threads } = JSON.parse(process.argv[2]);
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(module).href);
const path = join(folder, `${type}.gguf`);
writeRandomGguf(path, config, type);
const llama = await getLlama({ gpu: false, build: "never", maxThreads: threads, logLevel: LlamaLogLevel.error });
const model = await llama.loadModel({ modelPath: path });
const results = [];
// More threads are not always faster: the best counts.
for (const count of new Set([1, threads])) results.push(await measure(count));
const best = results.reduce((a, b) => (a.median < b.median ? a : b));
console.log(
  JSON.stringify({
    backend: `llama.cpp, ${type}, ${best.count} threads`,
    tokensPerSecond: Math.round(((tokens - 1) / best.median) * 10) / 10,
    runs: best.runs,
  }),
);
rmSync(path);
process.exit(0);

async function measure(count) {
  const context = await model.createContext({ contextSize: 256, threads: count, sequences: 1 });
  const sequence = context.getSequence();
  const step = async () => {
    await sequence.clearHistory();
    let [left, first] = [tokens, 0];
    for await (const _ of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
      first ||= performance.now();
      if (--left === 0) break;
    }
    if (left > 0) throw new Error(`the model ended ${left} tokens early`);
    return (performance.now() - first) / 1000;
  };
  await step();
  const times = []; // from the first token on: the prompt is not decoding
  const begun = performance.now();
  while (times.length < 3 || performance.now() - begun < seconds * 1000) {
    times.push(await step());
  }
  await context.dispose();
  return { count, runs: times.length, median: times.sort((a, b) => a - b)[Math.floor(times.length / 2)] };
}
