import * as tf from "@tensorflow/tfjs";
import { targetLogProbs } from "./ops.js";
import {
  causalAttention,
  hiddenStates,
  logitsOf,
  type Parameters,
  rotaryAngles,
  type TransformerConfig,
} from "./transformer.js";

/** Sequences of token ids, padded on the right to one width. A pad is never seen by what comes before it. */
export interface TokenBatch {
  readonly batch: number;
  readonly seq: number;
  /** Inputs, row after row. [batch · seq] */
  readonly ids: Int32Array;
  /** The token that follows each input; 0 where there is none. [batch · seq] */
  readonly targets: Int32Array;
  /** Sampling temperature of each row; absent when all are 1. [batch] */
  readonly temperatures?: readonly number[];
}

/** Pads sequences into one batch. `sequences[row]` holds inputs and the last target: its length is one more than its inputs. */
export function packTokens(sequences: readonly (readonly number[])[], temperatures?: readonly number[]): TokenBatch {
  const seq = Math.max(...sequences.map((sequence) => sequence.length)) - 1;
  const ids = new Int32Array(sequences.length * seq);
  const targets = new Int32Array(sequences.length * seq);
  sequences.forEach((sequence, row) => {
    for (let t = 0; t + 1 < sequence.length; t++) {
      ids[row * seq + t] = sequence[t]!;
      targets[row * seq + t] = sequence[t + 1]!;
    }
  });
  const packed = { batch: sequences.length, seq, ids, targets };
  return temperatures === undefined || temperatures.every((temperature) => temperature === 1)
    ? packed
    : { ...packed, temperatures };
}

/** log π(target | what came before) at each position and its row's temperature, differentiable by the parameters. In nats. [batch · seq] */
export function sequenceLogProbs(parameters: Parameters, config: TransformerConfig, batch: TokenBatch): tf.Tensor1D {
  return targetLogProbs(sequenceLogits(parameters, config, batch), tf.tensor1d(batch.targets, "int32"));
}

/** Logits of the next token at each position, divided by its row's temperature. [batch · seq, vocab] */
export function sequenceLogits(
  parameters: Parameters,
  config: TransformerConfig,
  { batch, seq, ids, temperatures }: TokenBatch,
): tf.Tensor2D {
  const positions = Array.from({ length: seq }, (_, t) => t);
  const hidden = hiddenStates(
    parameters,
    config,
    tf.tensor1d(ids, "int32"),
    [batch, seq],
    rotaryAngles(config, positions, [1, seq]),
    causalAttention(config, seq),
  );
  const logits = logitsOf(parameters, config, hidden);
  return temperatures === undefined ? logits : tf.div(logits, perPosition(temperatures, seq));
}

/** A value of each row at each of its positions. [batch · seq, 1] */
function perPosition(values: readonly number[], seq: number): tf.Tensor2D {
  return tf.tensor2d(
    values.flatMap((value) => Array<number>(seq).fill(value)),
    [values.length * seq, 1],
  );
}
