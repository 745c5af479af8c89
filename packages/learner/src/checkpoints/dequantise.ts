import { halfAt } from "./half.js";

/*
 * Quantisations of ggml in blocks of 32 (ggml-quants.c, dequantize_row_*). d and m are halves; q are small integers. Each function
 * writes whole blocks; the only rounding is that of the result to float32. Of nibbles the low ones are elements 0–15, the high ones
 * 16–31.
 */

/** Block of 32 in 18 bytes: d, 16 bytes of nibbles. x_j = d (q_j − 8). */
export function dequantiseQ4_0(bytes: Uint8Array, into: Float32Array): void {
  for (let at = 0, x = 0; at < bytes.length; at += 18, x += 32) {
    const d = halfAt(bytes, at);
    for (let j = 0; j < 16; j++) {
      const pair = bytes[at + 2 + j]!;
      into[x + j] = d * ((pair & 15) - 8);
      into[x + 16 + j] = d * ((pair >> 4) - 8);
    }
  }
}

/** Block of 32 in 20 bytes: d, m, 16 bytes of nibbles. x_j = d q_j + m. */
export function dequantiseQ4_1(bytes: Uint8Array, into: Float32Array): void {
  for (let at = 0, x = 0; at < bytes.length; at += 20, x += 32) {
    const d = halfAt(bytes, at);
    const m = halfAt(bytes, at + 2);
    for (let j = 0; j < 16; j++) {
      const pair = bytes[at + 4 + j]!;
      into[x + j] = d * (pair & 15) + m;
      into[x + 16 + j] = d * (pair >> 4) + m;
    }
  }
}

/** Block of 32 in 22 bytes: d, 4 bytes with the fifth bit of each q, 16 bytes of nibbles. x_j = d (q_j − 16). */
export function dequantiseQ5_0(bytes: Uint8Array, into: Float32Array): void {
  for (let at = 0, x = 0; at < bytes.length; at += 22, x += 32) {
    const d = halfAt(bytes, at);
    for (let j = 0; j < 16; j++) {
      const pair = bytes[at + 6 + j]!;
      into[x + j] = d * (((pair & 15) | fifthBit(bytes, at + 2, j)) - 16);
      into[x + 16 + j] = d * (((pair >> 4) | fifthBit(bytes, at + 2, 16 + j)) - 16);
    }
  }
}

/** Block of 32 in 24 bytes: d, m, 4 bytes with the fifth bit of each q, 16 bytes of nibbles. x_j = d q_j + m. */
export function dequantiseQ5_1(bytes: Uint8Array, into: Float32Array): void {
  for (let at = 0, x = 0; at < bytes.length; at += 24, x += 32) {
    const d = halfAt(bytes, at);
    const m = halfAt(bytes, at + 2);
    for (let j = 0; j < 16; j++) {
      const pair = bytes[at + 8 + j]!;
      into[x + j] = d * ((pair & 15) | fifthBit(bytes, at + 4, j)) + m;
      into[x + 16 + j] = d * ((pair >> 4) | fifthBit(bytes, at + 4, 16 + j)) + m;
    }
  }
}

/** Bit j of the bits from `at` on, as the value that it has in a q. */
function fifthBit(bytes: Uint8Array, at: number, j: number): number {
  return ((bytes[at + (j >> 3)]! >> (j & 7)) & 1) << 4;
}

/** Block of 32 in 34 bytes: d, 32 signed bytes. x_j = d q_j. */
export function dequantiseQ8_0(bytes: Uint8Array, into: Float32Array): void {
  for (let at = 0, x = 0; at < bytes.length; at += 34, x += 32) {
    const d = halfAt(bytes, at);
    for (let j = 0; j < 32; j++) into[x + j] = d * ((bytes[at + 2 + j]! << 24) >> 24);
  }
}

/** What the nibbles of IQ4_NL stand for. */
const UNEVEN = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/** Block of 32 in 18 bytes: d, 16 bytes of nibbles. x_j = d v(q_j), v from a fixed table of uneven steps. */
export function dequantiseIQ4_NL(bytes: Uint8Array, into: Float32Array): void {
  for (let at = 0, x = 0; at < bytes.length; at += 18, x += 32) {
    const d = halfAt(bytes, at);
    for (let j = 0; j < 16; j++) {
      const pair = bytes[at + 2 + j]!;
      into[x + j] = d * UNEVEN[pair & 15]!;
      into[x + 16 + j] = d * UNEVEN[pair >> 4]!;
    }
  }
}
