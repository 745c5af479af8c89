import { halfAt } from "./half.js";

/*
 * Quantisations of ggml in blocks of 256 (ggml-quants.c, dequantize_row_*), the "K" types. d and dmin are halves; q, scales and mins
 * are small integers. Each function writes whole blocks; the only rounding is that of the result to float32.
 */

/**
 * Block of 256 in 84 bytes: 16 bytes with a scale (low nibble) and a min (high nibble) each, 64 bytes of 2-bit q, d, dmin.
 *
 *   x_j = d · scale_k · q_j − dmin · min_k        k = ⌊j / 16⌋
 *
 * Element j of row r is bits 2 (r mod 4) of byte 32 ⌊r / 4⌋ + j.
 */
export function dequantiseQ2_K(bytes: Uint8Array, into: Float32Array): void {
  for (let at = 0, x = 0; at < bytes.length; at += 84, x += 256) {
    const d = halfAt(bytes, at + 80);
    const dmin = halfAt(bytes, at + 82);
    for (let row = 0; row < 8; row++) {
      for (let j = 0; j < 32; j++) {
        const pair = bytes[at + 2 * row + (j >> 4)]!;
        into[x + 32 * row + j] = d * (pair & 15) * twoBits(bytes, at + 16, row, j) - dmin * (pair >> 4);
      }
    }
  }
}

/**
 * Block of 256 in 110 bytes: 32 bytes with the third bit of each q, 64 bytes with the low 2 bits, 16 scales of 6 bits in 12 bytes, d.
 *
 *   x_j = d · (scale_k − 32) · (q_j − 4)        k = ⌊j / 16⌋
 *
 * The low bits lie as in Q2_K; the third bit of element j of row r is bit r of byte j. Scales have their low 4 bits in the nibbles of
 * bytes 0–7, the low nibbles first, and their high 2 bits at bit 2 ⌊k / 4⌋ of byte 8 + k mod 4.
 */
export function dequantiseQ3_K(bytes: Uint8Array, into: Float32Array): void {
  for (let at = 0, x = 0; at < bytes.length; at += 110, x += 256) {
    const d = halfAt(bytes, at + 108);
    const packed = at + 96;
    for (let k = 0; k < 16; k++) {
      const low = (bytes[packed + (k & 7)]! >> (k < 8 ? 0 : 4)) & 15;
      const scale = low | (((bytes[packed + 8 + (k & 3)]! >> (2 * (k >> 2))) & 3) << 4);
      const row = k >> 1;
      for (let j = 16 * (k & 1); j < 16 * (k & 1) + 16; j++) {
        const q = twoBits(bytes, at + 32, row, j) | (((bytes[at + j]! >> row) & 1) << 2);
        into[x + 32 * row + j] = d * (scale - 32) * (q - 4);
      }
    }
  }
}

/** Two bits of element j of a row of 32, four rows in the same bytes. */
function twoBits(bytes: Uint8Array, at: number, row: number, j: number): number {
  return (bytes[at + 32 * (row >> 2) + j]! >> (2 * (row & 3))) & 3;
}

/**
 * Block of 256 in 144 bytes: d, dmin, 8 pairs (scale, min) of 6 bits each in 12 bytes, 128 bytes of nibbles.
 *
 *   x_j = d · scale_k · q_j − dmin · min_k        k = ⌊j / 32⌋
 *
 * Each 32 bytes of nibbles hold two sub-blocks: the low nibbles one, the high nibbles the next.
 */
export function dequantiseQ4_K(bytes: Uint8Array, into: Float32Array): void {
  for (let at = 0, x = 0; at < bytes.length; at += 144, x += 256) {
    for (let k = 0; k < 8; k++) {
      const { slope, offset } = lineOf(bytes, at, k);
      const nibbles = at + 16 + 32 * (k >> 1);
      for (let j = 0; j < 32; j++) {
        into[x + 32 * k + j] = slope * ((bytes[nibbles + j]! >> (4 * (k & 1))) & 15) - offset;
      }
    }
  }
}

/** Block of 256 in 176 bytes: as Q4_K, with 32 bytes before the nibbles; the fifth bit of element j of sub-block k is bit k of byte j. */
export function dequantiseQ5_K(bytes: Uint8Array, into: Float32Array): void {
  for (let at = 0, x = 0; at < bytes.length; at += 176, x += 256) {
    for (let k = 0; k < 8; k++) {
      const { slope, offset } = lineOf(bytes, at, k);
      const nibbles = at + 48 + 32 * (k >> 1);
      for (let j = 0; j < 32; j++) {
        const q = ((bytes[nibbles + j]! >> (4 * (k & 1))) & 15) | (((bytes[at + 16 + j]! >> k) & 1) << 4);
        into[x + 32 * k + j] = slope * q - offset;
      }
    }
  }
}

/**
 * d · scale_k and dmin · min_k of a block that begins with d, dmin and 12 bytes of pairs. Pairs 0–3 are the low 6 bits of bytes 0–3
 * (scales) and 4–7 (mins); pairs 4–7 have their low 4 bits in bytes 8–11 and their high 2 bits atop bytes 0–7.
 */
function lineOf(bytes: Uint8Array, at: number, k: number): { readonly slope: number; readonly offset: number } {
  const packed = at + 4;
  const low = bytes[packed + k + 4]!;
  const scale = k < 4 ? bytes[packed + k]! & 63 : (low & 15) | ((bytes[packed + k - 4]! >> 6) << 4);
  const min = k < 4 ? low & 63 : (low >> 4) | ((bytes[packed + k]! >> 6) << 4);
  return { slope: halfAt(bytes, at) * scale, offset: halfAt(bytes, at + 2) * min };
}

/**
 * Block of 256 in 210 bytes: 128 bytes with the low 4 bits of q, 64 with the high 2 bits, 16 signed scales, d.
 *
 *   x_j = d · scale_k · (q_j − 32)        k = ⌊j / 16⌋
 *
 * Each half of 128 elements is four rows of 32: row r has its low bits in the nibbles (low for r < 2, high after) of bytes
 * 32 (r mod 2) + j, and its high bits at bit 2r of byte j.
 */
export function dequantiseQ6_K(bytes: Uint8Array, into: Float32Array): void {
  for (let at = 0, x = 0; at < bytes.length; at += 210, x += 256) {
    const d = halfAt(bytes, at + 208);
    for (let row = 0; row < 8; row++) {
      const [half, r] = [row >> 2, row & 3];
      const low = at + 64 * half + 32 * (r & 1);
      const high = at + 128 + 32 * half;
      for (let j = 0; j < 32; j++) {
        const scale = (bytes[at + 192 + 2 * row + (j >> 4)]! << 24) >> 24;
        const nibble = (bytes[low + j]! >> (r < 2 ? 0 : 4)) & 15;
        into[x + 32 * row + j] = d * scale * ((nibble | (((bytes[high + j]! >> (2 * r)) & 3) << 4)) - 32);
      }
    }
  }
}
