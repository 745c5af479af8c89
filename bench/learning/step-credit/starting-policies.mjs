// The starting policies of the step-credit bench: one that reads chains, and from it those that make mistakes. All by this project's own
// trainer, from demonstrations of tasks that are not held out.
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createRandom, mixSeed } from "@afterstate/core";
import { decodeSafetensors, encodeSafetensors, openTokenizer } from "@afterstate/learner";
import { createTrainable, openMachine, supervisedLoss } from "@afterstate/learner/engine";
import { initialWeights } from "@afterstate/learner/tensor";
import { chainPolicyFiles, demonstrate, drawChain } from "@afterstate/learner/tool-chain";

const CACHE = fileURLToPath(new URL("../../../.afterstate/step-credit/", import.meta.url));
const ADAM = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.01 };
const BATCH = 64;
/** Tokens of a typical action, so that the loss is a mean a token. */
const TOKENS = 7;
/** Reading chains: all calls right. */
const READING = { steps: 3000, learningRate: 4e-3, right: 1 };
/** Then mistakes, from the policy that reads. */
const HABITS = { steps: 600, learningRate: 1e-3 };
const LONGEST = 8;

/**
 * Share of the calls that a starting policy gets right: the steps known, or one chain in a hundred got through. Of short chains a few
 * in a hundred: where one call in a hundred or ten is right, nothing is found to be credited, and no credit gets there.
 */
export const STARTS = {
  knows: () => 0.85,
  rare: (length) => Math.max(0.2, Math.round(0.01 ** (1 / length) * 100) / 100),
};

/** Weights of a policy that gets a share of its calls right; trained once, and kept. */
export async function startingWeights(right, log = () => {}) {
  const reading = cached(`reading-${JSON.stringify(READING)}`, () => train(undefined, READING, log));
  return right === 1
    ? reading
    : cached(`right-${right}-${JSON.stringify(HABITS)}`, () => train(reading, { ...HABITS, right }, log));
}

/** Recipes are part of the name: another recipe, another file. */
function cached(name, make) {
  const file = join(CACHE, `${name.replaceAll(/[^a-zA-Z0-9.-]+/g, "_")}.safetensors`);
  if (!existsSync(file)) {
    mkdirSync(CACHE, { recursive: true });
    writeFileSync(`${file}.${process.pid}`, encodeSafetensors(make()));
    renameSync(`${file}.${process.pid}`, file);
  }
  return decodeSafetensors(readFileSync(file), file).weights;
}

function train(from, { steps, learningRate, right }, log) {
  const files = chainPolicyFiles();
  const tokenizer = openTokenizer(files);
  const machine = openMachine({ threads: 2 });
  const trainable = createTrainable(machine, files.config, from ?? initialWeights(files.config, 1), ADAM);
  const random = createRandom(mixSeed("demonstrations", right));
  const share = (step) => Math.min((step + 1) / 50, 1 - (0.98 * step) / steps);
  const sequenceOf = ({ observation, action }) => {
    const prompt = tokenizer.encodePrompt([{ role: "user", content: observation }], []);
    const said = [...tokenizer.encode(action), tokenizer.endId];
    return { ids: [...prompt, ...said], mask: [...prompt.map(() => 0), ...said.map(() => 1)] };
  };
  const pool = [];
  let shown = 0;
  const started = performance.now();
  for (let step = 0; step < steps; step++) {
    if (pool.length < BATCH) {
      while (pool.length < 64 * BATCH)
        pool.push(...demonstrate(drawChain(1 + random.integer(LONGEST), false, random), right, random));
    }
    const batch = Array.from({ length: BATCH }, () => {
      const at = random.integer(pool.length);
      const [one] = pool.splice(at, 1, pool.at(-1));
      pool.pop();
      return one;
    });
    shown += trainable.accumulate(supervisedLoss(batch.map(sequenceOf), BATCH * TOKENS));
    trainable.step(learningRate * share(step), 1);
    if ((step + 1) % 500 === 0 || step + 1 === steps) {
      log(
        `right ${right}: step ${step + 1}/${steps}  loss ${(shown / 500).toFixed(4)}  ${((performance.now() - started) / 1000).toFixed(0)} s`,
      );
      shown = 0;
    }
  }
  const weights = trainable.weights();
  trainable.dispose();
  machine.dispose();
  return weights;
}
