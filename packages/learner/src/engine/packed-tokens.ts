/** One sequence among packed ones: rows start … start + length − 1. */
export interface PackedSequence {
  readonly start: number;
  readonly length: number;
}

/** Token sequences one after the other, without padding. */
export interface PackedTokens {
  readonly rows: number;
  readonly sequences: readonly PackedSequence[];
  /** [rows] */
  readonly ids: Int32Array;
  /** Of each row within its sequence. [rows] */
  readonly positions: Int32Array;
  readonly longest: number;
}

/** Rows whose next token matters, with that token. */
export interface SelectedRows {
  /** Rows of packed tokens. [selected] */
  readonly rows: Int32Array;
  /** The token that follows each. [selected] */
  readonly targets: Int32Array;
  /** Inverse sampling temperature of each; absent when all are 1. [selected] */
  readonly inverseTemperatures?: Float32Array;
}

/** Packs the inputs of sequences: all tokens but the last, which is only ever a target. */
export function packInputs(sequences: readonly (readonly number[])[]): PackedTokens {
  const lengths = sequences.map((sequence) => Math.max(0, sequence.length - 1));
  const rows = lengths.reduce((sum, length) => sum + length, 0);
  const ids = new Int32Array(rows);
  const positions = new Int32Array(rows);
  let start = 0;
  const packed = sequences.map((sequence, index) => {
    const length = lengths[index]!;
    for (let t = 0; t < length; t++) {
      ids[start + t] = sequence[t]!;
      positions[start + t] = t;
    }
    start += length;
    return { start: start - length, length };
  });
  return { rows, sequences: packed, ids, positions, longest: Math.max(0, ...lengths) };
}
