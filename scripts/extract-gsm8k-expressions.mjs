// Reads the calculator annotations <<a+b=c>> off GSM8K's solutions: packages/learner/data/homework/README.md says which.
// node scripts/extract-gsm8k-expressions.mjs <folder with train.jsonl and test.jsonl>
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { evaluateExpression } from "@afterstate/plugins-tools";

const folder = process.argv[2];
if (folder === undefined) {
  console.error("Say which folder holds GSM8K's train.jsonl and test.jsonl.");
  process.exit(2);
}

/** Expression → exact result of every annotation that is exact, in order of first appearance. */
function annotationsOf(file) {
  const found = new Map();
  for (const line of readFileSync(join(folder, file), "utf8").split("\n")) {
    if (line === "") continue;
    for (const [, left, right] of JSON.parse(line).answer.matchAll(/<<([^<>=]+)=([^<>=]+)>>/g)) {
      const expression = left.replaceAll(" ", "");
      const isSum = /^[0-9+\-*/().]{3,14}$/.test(expression) && /\d[+\-*/]/.test(expression);
      if (!isSum || /(^|[^\d.])0\d/.test(expression) || found.has(expression)) continue;
      const result = resultOf(expression);
      const annotated = resultOf(right.replaceAll(" ", ""));
      if (result === undefined || result !== annotated || !/^[\d.]{1,8}$/.test(result)) continue;
      found.set(expression, result);
    }
  }
  return found;
}

function resultOf(text) {
  try {
    return evaluateExpression(text);
  } catch {
    return undefined;
  }
}

const train = annotationsOf("train.jsonl");
const test = new Map([...annotationsOf("test.jsonl")].filter(([expression]) => !train.has(expression)));
const lines = [
  ["train", train],
  ["test", test],
].flatMap(([split, expressions]) =>
  [...expressions].map(([expression, answer]) => JSON.stringify({ split, expression, answer })),
);
writeFileSync(
  new URL("../packages/learner/data/homework/gsm8k-expressions.jsonl", import.meta.url),
  `${lines.join("\n")}\n`,
);
console.log(`${train.size} expressions of the training set, ${test.size} of the test set alone`);
