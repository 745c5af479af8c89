// SmolLM2-135M as a policy of the homework domain: it adds about every tenth sum right and does not heed "only the number", so adapters
// over it read conversations of the domain first, as the embedded policy did. Made once, and kept.
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createRandom, mixSeed } from "@afterstate/core";
import { openTokenizer, readAdapterFolder, readGguf, withAdapters, writeAdapterFolder } from "@afterstate/learner";
import { createTrainable, openMachine, placeFrozen, supervisedLoss } from "@afterstate/learner/engine";
import { drawConversation, drawPuzzle } from "@afterstate/learner/homework";
import { initialAdapter, learnedShapes } from "@afterstate/learner/tensor";

const MODELS = fileURLToPath(new URL("../../../.afterstate/models/", import.meta.url));
export const SMOLLM2 = join(MODELS, "SmolLM2-135M-Instruct.Q4_1.gguf");
const RANK = 16;
const ADAM = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.01 };
const RECIPE = { steps: 200, conversations: 16, learningRate: 1e-3, toolRate: 0.3, nameRate: 0.3 };
/** Policy tokens of a typical conversation, so that the loss is a mean a token. */
const TOKENS = 30;
/** Batches of one pool have similar lengths. */
const POOL = 8;

/** Its own template, and tool calls in the Hermes form: a list of tools before every question would be most of what it reads. */
const CHAT_TEMPLATE = [
  "{%- for message in messages -%}",
  "<|im_start|>{{ message.role }}\n{{ message.content }}",
  "{%- for call in message.tool_calls or [] -%}",
  "<tool_call>{{ call.function | tojson }}</tool_call>",
  "{%- endfor -%}",
  "<|im_end|>{{ '\n' }}",
  "{%- endfor -%}",
  "{%- if add_generation_prompt -%}<|im_start|>assistant{{ '\n' }}{%- endif -%}",
].join("");

/** Files of the policy, its adapters trained where they are not there yet. */
export function smollm2Homework(homework, log = () => {}) {
  const files = readGguf(SMOLLM2);
  const policy = withAdapters(
    { ...files, tokenizerConfig: { ...files.tokenizerConfig, chat_template: CHAT_TEMPLATE } },
    RANK,
  );
  const folder = join(MODELS, `SmolLM2-135M-homework-${Object.values(RECIPE).join("-")}`);
  if (!existsSync(folder)) {
    mkdirSync(MODELS, { recursive: true });
    const { lora } = policy.config;
    rmSync(`${folder}.new`, { recursive: true, force: true });
    writeAdapterFolder(`${folder}.new`, { lora, adapter: taught(policy, homework, log) }, basename(SMOLLM2));
    renameSync(`${folder}.new`, folder);
  }
  const { adapter } = readAdapterFolder(folder, files.config);
  return { ...policy, adapter };
}

function taught(policy, homework, log) {
  const { steps, conversations, learningRate, ...habits } = RECIPE;
  const tokenizer = openTokenizer(policy);
  const random = createRandom(mixSeed("smollm2-homework"));
  const source = { question: () => homework.draw("train", random), puzzle: () => drawPuzzle(random) };
  const machine = openMachine({ threads: 2 });
  const base = placeFrozen(machine, policy.weights);
  const trainable = createTrainable(machine, policy.config, initialAdapter(learnedShapes(policy.config), 1), ADAM, {
    frozen: base.placed,
  });
  const drawPool = () => {
    const pool = Array.from({ length: POOL * conversations }, () =>
      tokenizer.encodeConversation(drawConversation(source, habits, random)),
    ).sort((a, b) => a.ids.length - b.ids.length);
    return Array.from({ length: POOL }, (_, i) => pool.slice(i * conversations, (i + 1) * conversations));
  };
  const started = performance.now();
  let [pool, shown, tokens] = [[], 0, 0];
  for (let step = 0; step < steps; step++) {
    if (pool.length === 0) pool = drawPool();
    const [batch] = pool.splice(random.integer(pool.length), 1);
    shown += trainable.accumulate(supervisedLoss(batch, conversations * TOKENS));
    const share = Math.min((step + 1) / 10, 1 - (0.95 * step) / steps);
    trainable.step(learningRate * share, 1);
    tokens += batch.reduce((sum, { ids }) => sum + ids.length, 0);
    if ((step + 1) % 10 > 0) continue;
    const seconds = (performance.now() - started) / 1000;
    log(`step ${step + 1}/${steps}  loss ${(shown / 10).toFixed(3)}  ${tokens} tokens  ${seconds.toFixed(0)} s`);
    shown = 0;
  }
  const adapter = trainable.weights();
  trainable.dispose();
  base.free();
  machine.dispose();
  return adapter;
}
