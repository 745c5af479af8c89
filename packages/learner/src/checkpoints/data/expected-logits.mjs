// Writes tiny-logits.json: log-probabilities of the next token by llama.cpp (node-llama-cpp 3.22.1) after each token of a text.
// Usage, in a folder where node-llama-cpp is installed: node expected-logits.mjs <folder of the fixtures>
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { getLlama } from "node-llama-cpp";

const folder = process.argv[2];
const ids = [259, 72, 101, 261, 258, 10, 33, 200, 7, 258, 119, 260];
const llama = await getLlama({ gpu: false, build: "never" });
const expected = {};
for (const file of readdirSync(folder).filter((name) => /^tiny-.*\.gguf$/.test(name) && !name.includes("-of-")).sort()) {
  const model = await llama.loadModel({ modelPath: join(folder, file) });
  const context = await model.createContext({
    contextSize: 64,
    experimentalKvCacheKeyType: "F32",
    experimentalKvCacheValueType: "F32",
    flashAttention: false,
  });
  const output = await context.getSequence().controlledEvaluate(
    ids.map((id) => [id, { generateNext: { probabilities: true } }]),
  );
  const rows = output.map(({ next }) => {
    const row = new Array(262).fill(0);
    for (const [id, probability] of next.probabilities) row[id] = Math.log(probability);
    return row.map((value) => Number(value.toPrecision(7)));
  });
  expected[file] = rows;
  await context.dispose();
  await model.dispose();
}
writeFileSync(join(folder, "tiny-logits.json"), JSON.stringify({ ids, expected }));
await llama.dispose();
