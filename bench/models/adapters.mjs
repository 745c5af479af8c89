// Adapters of SmolLM2-135M beside PEFT, both ways: one that is trained here and loaded there, and one that is made there and loaded here.
// Needs the model of `npm run models:test`, and a python3 with torch, transformers and peft. node bench/models/adapters.mjs
import { spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openTokenizer, readAdapterFolder, readGguf, writeAdapterFolder, writePolicyFolder } from "@afterstate/learner";
import { createScorer, createTrainable, openMachine, placeFrozen, supervisedLoss } from "@afterstate/learner/engine";
import { initialAdapter, LORA_TARGETS, learnedShapes } from "@afterstate/learner/tensor";

const GGUF = fileURLToPath(new URL("../../.afterstate/models/SmolLM2-135M-Instruct.Q4_1.gguf", import.meta.url));
const PROGRAM = fileURLToPath(new URL("peft_check.py", import.meta.url));
const LORA = { r: 16, lora_alpha: 32, target_modules: LORA_TARGETS };
const ADAM = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.01 };
const TEXTS = 3;
const UPDATES = 6;
/** Log-probabilities differ by no more. */
const MARK = 1e-3;

const skip = (skipped) => {
  console.log(JSON.stringify({ skipped }));
  process.exit(0);
};
if (!existsSync(GGUF)) skip("SmolLM2 is absent; npm run models:test fetches it");
if (spawnSync("python3", ["-c", "import torch, transformers, peft"]).status !== 0)
  skip("python3 has no torch, transformers or peft");

const folder = mkdtempSync(join(tmpdir(), "afterstate-adapters-"));
try {
  const files = readGguf(GGUF);
  const tokenizer = openTokenizer(files);
  const texts = readFileSync(new URL("data/gsm8k.jsonl", import.meta.url), "utf8")
    .split("\n", TEXTS)
    .map((line) => JSON.parse(line))
    .map(({ question, answer }) => tokenizer.encode(`${question}\n${answer}`));
  const all = texts.map((ids) => ({ ids, mask: ids.map(() => 1) }));
  const path = (name) => join(folder, name);
  const machine = openMachine();
  const base = placeFrozen(machine, files.weights);
  const config = { ...files.config, lora: LORA };

  writePolicyFolder(path("base"), files);
  const { adapter, losses } = trained();
  writeAdapterFolder(path("ours"), { lora: LORA, adapter }, path("base"));
  const request = {
    base: path("base"),
    ours: path("ours"),
    theirs: path("theirs"),
    oursLogProbs: path("ours.f32"),
    theirsLogProbs: path("theirs.f32"),
    texts,
    threads: availableParallelism(),
  };
  writeFileSync(path("request.json"), JSON.stringify(request));
  const { stdout, stderr } = spawnSync("python3", [PROGRAM, path("request.json")], { encoding: "utf8" });
  const line = stdout.split("\n").findLast((text) => text.startsWith("{"));
  if (line === undefined) throw new Error(stderr);
  const { said, versions } = JSON.parse(line);

  const plain = compare(files.config, new Map(), path("ours.f32"));
  tell("trained here, loaded in PEFT", compare(config, adapter, path("ours.f32")), {
    losses: [losses[0], losses.at(-1)].map(round),
    adapterChangesBy: plain.largestDifference,
    loadedWithoutWarning: said.length === 0,
    ...(said.length > 0 && { said }),
  });
  const read = readAdapterFolder(path("theirs"), files.config);
  const { lora } = read;
  tell(
    "made by PEFT for all-linear, loaded here",
    compare({ ...files.config, lora }, read.adapter, path("theirs.f32")),
    {
      adapterChangesBy: compare(files.config, new Map(), path("theirs.f32")).largestDifference,
    },
  );

  function tell(name, result, more) {
    const { topAgreement, largestDifference } = result;
    const withinMark = topAgreement === 1 && largestDifference <= MARK && more.loadedWithoutWarning !== false;
    const backend = machine.description;
    console.log(JSON.stringify({ case: name, backend, ...versions, ...result, ...more, withinMark }));
  }

  /** An adapter after some updates, and the loss before each. */
  function trained() {
    const trainable = createTrainable(machine, config, initialAdapter(learnedShapes(config), 1), ADAM, {
      frozen: base.placed,
    });
    const loss = supervisedLoss(
      all,
      texts.reduce((sum, { length }) => sum + length - 1, 0),
    );
    const losses = Array.from({ length: UPDATES }, () => {
      const before = trainable.accumulate(loss);
      trainable.step(1e-3, 1);
      return before;
    });
    const adapter = trainable.weights();
    trainable.dispose();
    return { adapter, losses };
  }

  /** Our log-probabilities of every token at every position beside those of a file. */
  function compare(config, adapter, file) {
    const { vocab_size: vocab } = config;
    const placed = placeFrozen(machine, adapter);
    const scorer = createScorer(machine, config, new Map([...base.placed, ...placed.placed]));
    const { tokens, selected } = supervisedLoss(all, 1);
    const theirs = openSync(file, "r");
    const row = new Float32Array(vocab);
    let [positions, agreed, largest] = [0, 0, 0];
    scorer.score(tokens, selected, ({ count, scores, logSumExp }) => {
      const sums = machine.arena.view(logSumExp, count);
      for (let t = 0; t < count; t++) {
        const logits = machine.arena.view(scores + t * vocab * 4, vocab);
        readSync(theirs, new Uint8Array(row.buffer));
        let [top, theirTop] = [0, 0];
        for (let id = 0; id < vocab; id++) {
          if (logits[id] > logits[top]) top = id;
          if (row[id] > row[theirTop]) theirTop = id;
          largest = Math.max(largest, Math.abs(logits[id] - sums[t] - row[id]));
        }
        positions += 1;
        if (top === theirTop) agreed += 1;
      }
    });
    closeSync(theirs);
    scorer.free();
    placed.free();
    return { positions, topAgreement: round(agreed / positions), largestDifference: round(largest) };
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(0);

function round(value) {
  return Number(value.toPrecision(4));
}
