import { createRandom, mixSeed } from "@afterstate/core";
import { EMBEDDED_POLICY, writePolicyFolder } from "../checkpoints/policy-folder.js";
import { drawConversation, type Habits } from "../environments/homework/conversation.js";
import { drawPuzzle } from "../environments/homework/number-game.js";
import { loadHomework } from "../environments/homework/questions.js";
import { openTokenizer, type PolicyTokenizer } from "../policy/tokenizer.js";
import { openBackend } from "../tensor/backend.js";
import { type MaskedSequence, supervisedLoss } from "../tensor/supervised-loss.js";
import { createTrainable } from "../tensor/trainable.js";
import { initialWeights, type TransformerConfig } from "../tensor/transformer.js";
import { scheduledShare } from "../trainer/scheduled-share.js";
import { buildTokenizer, CHAT_TEMPLATE, SPECIAL_TOKENS } from "./build-tokenizer.js";

/*
 * The recipe of the embedded policy: `npm run pretrain -w @afterstate/learner -- [seed] [steps] [folder]`.
 * It reads conversations of the homework domain, whose questions come from GSM8K's training set alone.
 */

const [seed = 1, steps = 8000] = process.argv.slice(2).map(Number);
const folder = process.argv[4] ?? EMBEDDED_POLICY;
const BATCH = 32;
/** Policy tokens of a typical conversation, so that the loss is a mean a token. */
const TOKENS_PER_CONVERSATION = 22;
const PEAK_LEARNING_RATE = 2e-3;
const SCHEDULE = { shape: "linear", warmupSteps: 100, totalSteps: steps, finalShare: 0.02 } as const;
/** First it learns to copy: expressions into the calculator, results out of it, names. */
const COPYING: Habits = { toolRate: 0.6, nameRate: 0.6 };
/** Then it gets the habits that it ships with. */
const HABITS: Habits = { toolRate: 0.2, nameRate: 0.3 };
/** Conversations of one pool have similar lengths batch by batch. */
const POOL_BATCHES = 16;

const { description } = await openBackend({ threads: 2 });
const tokenizerFiles = {
  tokenizer: buildTokenizer(),
  tokenizerConfig: { chat_template: CHAT_TEMPLATE, eos_token: SPECIAL_TOKENS[1], pad_token: SPECIAL_TOKENS[0] },
};
const tokenizer = openTokenizer(tokenizerFiles);
const config: TransformerConfig = {
  vocab_size: tokenizer.vocabSize,
  hidden_size: 128,
  intermediate_size: 352,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 4,
  max_position_embeddings: 512,
  rope_theta: 10_000,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: false,
};
const trainable = createTrainable(initialWeights(config, seed), {
  beta1: 0.9,
  beta2: 0.99,
  epsilon: 1e-8,
  weightDecay: 0.01,
});
console.log(
  `pre-training on ${description}: seed ${seed}, ${steps} steps of ${BATCH} conversations, ${config.vocab_size} tokens`,
);

const homework = loadHomework();
const random = createRandom(mixSeed(seed, "conversations"));
const source = { question: () => homework.draw("train", random), puzzle: () => drawPuzzle(random) };
const started = performance.now();
let [tokens, shown] = [0, 0];
for (let step = 0, pool: MaskedSequence[][] = []; step < steps; step++) {
  if (pool.length === 0) pool = drawPool(tokenizer, step < 0.45 * steps ? COPYING : HABITS);
  const batch = pool.splice(random.integer(pool.length), 1)[0]!;
  const loss = await trainable.accumulate(supervisedLoss(config, batch, BATCH * TOKENS_PER_CONVERSATION));
  await trainable.step(PEAK_LEARNING_RATE * scheduledShare(SCHEDULE, step), 1);
  tokens += batch.reduce((sum, { ids }) => sum + ids.length, 0);
  shown += loss;
  if ((step + 1) % 100 === 0) {
    const seconds = (performance.now() - started) / 1000;
    const left = (seconds / (step + 1)) * (steps - step - 1);
    console.log(
      `step ${step + 1}/${steps}  loss ${(shown / 100).toFixed(4)}  ${(tokens / 1e6).toFixed(2)} M tokens  ` +
        `${(tokens / seconds).toFixed(0)} tokens/s  ${(left / 60).toFixed(1)} min left`,
    );
    shown = 0;
  }
}
writePolicyFolder(folder, { ...tokenizerFiles, config, weights: await trainable.weights() });
console.log(`written to ${folder} after ${((performance.now() - started) / 60_000).toFixed(1)} min`);

function drawPool(tokenizer: PolicyTokenizer, habits: Habits): MaskedSequence[][] {
  const conversations = Array.from({ length: BATCH * POOL_BATCHES }, () =>
    tokenizer.encodeConversation(drawConversation(source, habits, random)),
  ).sort((a, b) => a.ids.length - b.ids.length);
  return Array.from({ length: POOL_BATCHES }, (_, i) => conversations.slice(i * BATCH, (i + 1) * BATCH));
}
