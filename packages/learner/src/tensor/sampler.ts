import * as tf from "@tensorflow/tfjs";
import { attentionProbabilities } from "./ops.js";
import { type Row, rowOf, type Sample, type SampleRequest, sampleOf, sampleToken } from "./sample-token.js";
import {
  type Attend,
  causalMask,
  headDimOf,
  hiddenStates,
  logitsOf,
  MASKED,
  type Parameters,
  rotaryAngles,
  type TransformerConfig,
} from "./transformer.js";

/** Keys and values of one layer. [rows, heads, seq, headDim] */
interface LayerCache {
  keys: tf.Tensor4D;
  values: tf.Tensor4D;
}

/**
 * Samples responses to several prompts side by side with a key-value cache.
 *
 * The cache has two parts: the prompts, padded on the right and never touched again, and the sampled tokens, which grow by
 * one column a step. Rows that have ended are taken out once they are half of the batch. Each row has its own random stream,
 * so what a row samples does not depend on its neighbours, float rounding apart.
 */
export async function sampleBatch(
  parameters: Parameters,
  config: TransformerConfig,
  requests: readonly SampleRequest[],
): Promise<readonly Sample[]> {
  const rows = requests.map(rowOf);
  let active = rows;
  let { prompt, mask, logits } = prefill(parameters, config, rows);
  let sampled: (LayerCache | undefined)[] = prompt.map(() => undefined);
  try {
    for (;;) {
      const scores = (await logits.data()) as Float32Array;
      logits.dispose();
      active.forEach((row, index) => {
        if (row.stoppedBy === undefined) {
          const own = scores.subarray(index * config.vocab_size, (index + 1) * config.vocab_size);
          sampleToken(row, own, config.max_position_embeddings);
        }
      });
      const going = active.flatMap((row, index) => (row.stoppedBy === undefined ? [index] : []));
      if (going.length === 0) break;
      if (going.length <= active.length / 2) {
        ({ prompt, sampled, mask } = keepRows(prompt, sampled, mask, going));
        active = going.map((index) => active[index]!);
      }
      logits = decode(parameters, config, active, prompt, sampled, mask);
      await new Promise<void>((resolve) => setImmediate(resolve)); // others get their turn between tokens
    }
  } finally {
    for (const cache of [...prompt, ...sampled]) {
      cache?.keys.dispose();
      cache?.values.dispose();
    }
    mask.dispose();
    logits.dispose();
  }
  return rows.map(sampleOf);
}

/** Runs the prompts. @returns their cache, the mask of their padding [rows, 1, 1, seq] and the logits of their last tokens. */
function prefill(parameters: Parameters, config: TransformerConfig, rows: readonly Row[]) {
  const lengths = rows.map(({ request }) => request.promptIds.length);
  const seq = Math.max(...lengths);
  const ids = new Int32Array(rows.length * seq);
  rows.forEach(({ request }, row) => ids.set(request.promptIds, row * seq));
  const prompt: LayerCache[] = [];
  const scale = 1 / Math.sqrt(headDimOf(config));
  const logits = tf.tidy(() => {
    const causal = causalMask(seq);
    const attend: Attend = (layer, { queries, keys, values }) => {
      prompt[layer] = { keys: tf.keep(tf.clone(keys)), values: tf.keep(tf.clone(values)) };
      return tf.matMul(attentionProbabilities(tf.matMul(queries, keys, false, true), causal, scale), values);
    };
    const positions = Array.from({ length: seq }, (_, t) => t);
    const angles = rotaryAngles(config, positions, [1, seq]);
    const hidden = hiddenStates(parameters, config, tf.tensor1d(ids, "int32"), [rows.length, seq], angles, attend);
    const last = tf.tensor1d(
      lengths.map((length, row) => row * seq + length - 1),
      "int32",
    );
    return logitsOf(parameters, config, tf.gather(hidden, last));
  });
  const padding = new Float32Array(rows.length * seq);
  lengths.forEach((length, row) => padding.fill(MASKED, row * seq + length, (row + 1) * seq));
  return { prompt, mask: tf.tensor4d(padding, [rows.length, 1, 1, seq]), logits };
}

/** Runs the token that each row sampled last. `sampled` grows by one column. @returns the logits. [rows, vocab] */
function decode(
  parameters: Parameters,
  config: TransformerConfig,
  rows: readonly Row[],
  prompt: readonly LayerCache[],
  sampled: (LayerCache | undefined)[],
  mask: tf.Tensor4D,
): tf.Tensor2D {
  const scale = 1 / Math.sqrt(headDimOf(config));
  const positions = rows.map(({ request, ids }) => request.promptIds.length + ids.length - 1);
  return tf.tidy(() => {
    const attend: Attend = (layer, { queries, keys, values }) => {
      const before = sampled[layer];
      const grown = {
        keys: tf.keep(before === undefined ? tf.clone(keys) : (tf.concat([before.keys, keys], 2) as tf.Tensor4D)),
        values: tf.keep(
          before === undefined ? tf.clone(values) : (tf.concat([before.values, values], 2) as tf.Tensor4D),
        ),
      };
      before?.keys.dispose();
      before?.values.dispose();
      sampled[layer] = grown;
      const [promptSeq, sampledSeq] = [prompt[layer]!.keys.shape[2], grown.keys.shape[2]];
      const onPrompt = tf.add(tf.matMul(queries, prompt[layer]!.keys, false, true), mask);
      const onSampled = tf.matMul(queries, grown.keys, false, true);
      const scores = tf.concat([onPrompt, onSampled], -1) as tf.Tensor4D; // [rows, heads, 1, promptSeq + sampledSeq]
      const parts = tf.split(attentionProbabilities(scores, tf.scalar(0), scale), [promptSeq, sampledSeq], -1);
      return tf.add(tf.matMul(parts[0]!, prompt[layer]!.values), tf.matMul(parts[1]!, grown.values)) as tf.Tensor4D;
    };
    const ids = tf.tensor1d(
      rows.map(({ ids }) => ids.at(-1)!),
      "int32",
    );
    const angles = rotaryAngles(config, positions, [rows.length, 1]);
    return logitsOf(parameters, config, hiddenStates(parameters, config, ids, [rows.length, 1], angles, attend));
  });
}

/** Takes the rows at `indices` out of caches and mask, and frees the old ones. */
function keepRows(
  prompt: readonly LayerCache[],
  sampled: readonly (LayerCache | undefined)[],
  mask: tf.Tensor4D,
  indices: readonly number[],
) {
  const rows = tf.tensor1d([...indices], "int32");
  const take = <T extends tf.Tensor>(tensor: T): T => {
    const taken = tf.gather(tensor, rows) as T;
    tensor.dispose();
    return taken;
  };
  const takeLayer = ({ keys, values }: LayerCache) => ({ keys: take(keys), values: take(values) });
  const kept = {
    prompt: prompt.map(takeLayer),
    sampled: sampled.map((cache) => (cache === undefined ? undefined : takeLayer(cache))),
    mask: take(mask),
  };
  rows.dispose();
  return kept;
}
