import * as tf from "@tensorflow/tfjs";
import { type KeyValueCache, openCache } from "./key-value-cache.js";
import { type Row, rowOf, type Sample, type SampleRequest, sampleOf, sampleToken } from "./sample-token.js";
import {
  type Attend,
  hiddenStates,
  logitsOf,
  type Parameters,
  rotaryAngles,
  type TransformerConfig,
} from "./transformer.js";

/**
 * Samples responses to several prompts side by side with a key-value cache.
 *
 * Rows that have ended are taken out once they are half of the batch. Each row has its own random stream,
 * so what a row samples does not depend on its neighbours, float rounding apart.
 */
export async function sampleBatch(
  parameters: Parameters,
  config: TransformerConfig,
  requests: readonly SampleRequest[],
): Promise<readonly Sample[]> {
  const rows = requests.map(rowOf);
  const lengths = requests.map(({ promptIds }) => promptIds.length);
  const ends = requests.map(({ promptIds, maxTokens }) => promptIds.length + maxTokens);
  const cache = openCache(config, lengths, Math.min(Math.max(...ends), config.max_position_embeddings));
  let active = rows;
  let logits = prefill(parameters, config, rows, cache);
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
        cache.keep(going);
        active = going.map((index) => active[index]!);
      }
      logits = decode(parameters, config, active, cache);
      await new Promise<void>((resolve) => setImmediate(resolve)); // others get their turn between tokens
    }
  } finally {
    cache.dispose();
    logits.dispose();
  }
  return rows.map(sampleOf);
}

/** Runs the prompts. @returns the logits of their last tokens. [rows, vocab] */
function prefill(
  parameters: Parameters,
  config: TransformerConfig,
  rows: readonly Row[],
  cache: KeyValueCache,
): tf.Tensor2D {
  const lengths = rows.map(({ request }) => request.promptIds.length);
  const seq = Math.max(...lengths);
  const ids = new Int32Array(rows.length * seq);
  rows.forEach(({ request }, row) => ids.set(request.promptIds, row * seq));
  return tf.tidy(() => {
    const positions = Array.from({ length: seq }, (_, t) => t);
    const hidden = runLayers(parameters, config, ids, [rows.length, seq], positions, cache.prompts());
    const last = lengths.map((length, row) => row * seq + length - 1);
    return logitsOf(parameters, config, tf.gather(hidden, tf.tensor1d(last, "int32")));
  });
}

/** Runs the token that each row sampled last. @returns the logits. [rows, vocab] */
function decode(
  parameters: Parameters,
  config: TransformerConfig,
  rows: readonly Row[],
  cache: KeyValueCache,
): tf.Tensor2D {
  const positions = rows.map(({ request, ids }) => request.promptIds.length + ids.length - 1);
  const last = rows.map(({ ids }) => ids.at(-1)!);
  return tf.tidy(() => {
    const hidden = runLayers(parameters, config, last, [rows.length, 1], positions, cache.next(positions));
    return logitsOf(parameters, config, hidden);
  });
}

/** @param positions of all rows alike [seq], or of each row's one token [rows]. */
function runLayers(
  parameters: Parameters,
  config: TransformerConfig,
  ids: ArrayLike<number>,
  [rows, seq]: readonly [number, number],
  positions: readonly number[],
  attend: Attend,
): tf.Tensor2D {
  const angles = rotaryAngles(config, positions, [positions.length / seq, seq]);
  return hiddenStates(parameters, config, tf.tensor1d(Int32Array.from(ids), "int32"), [rows, seq], angles, attend);
}
