import { halfAt } from "./half.js";

/*
 * Block quantisations of ggml (ggml-quants.c, dequantize_row_*). d and m are halves; q are small integers. Each function writes
 * whole blocks; the only rounding is that of the result to float32.
 */

/** Block of 32 in 18 bytes: d, 16 bytes of nibbles. x_j = d (q_j − 8); the low nibbles are elements 0–15, the high ones 16–31. */
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

/** Block of 32 in 20 bytes: d, m, 16 bytes of nibbles. x_j = d q_j + m; the low nibbles are elements 0–15, the high ones 16–31. */
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

/** Block of 32 in 34 bytes: d, 32 signed bytes. x_j = d q_j. */
export function dequantiseQ8_0(bytes: Uint8Array, into: Float32Array): void {
  for (let at = 0, x = 0; at < bytes.length; at += 34, x += 32) {
    const d = halfAt(bytes, at);
    for (let j = 0; j < 32; j++) into[x + j] = d * ((bytes[at + 2 + j]! << 24) >> 24);
  }
}

/**
 * Block of 256 in 144 bytes: d, dmin, 8 pairs (scale, min) of 6 bits each in 12 bytes, 128 bytes of nibbles.
 *
 *   x_j = d · scale_k · q_j − dmin · min_k        k = ⌊j / 32⌋
 *
 * Each 32 bytes of nibbles hold two sub-blocks: the low nibbles one, the high nibbles the next. Pairs 0–3 are the low 6 bits of
 * bytes 0–3 (scales) and 4–7 (mins); pairs 4–7 have their low 4 bits in bytes 8–11 and their high 2 bits atop bytes 0–7.
 */
export function dequantiseQ4_K(bytes: Uint8Array, into: Float32Array): void {
  for (let at = 0, x = 0; at < bytes.length; at += 144, x += 256) {
    const d = halfAt(bytes, at);
    const dmin = halfAt(bytes, at + 2);
    const packed = at + 4;
    for (let k = 0; k < 8; k++) {
      const low = bytes[packed + k + 4]!;
      const scale = k < 4 ? bytes[packed + k]! & 63 : (low & 15) | ((bytes[packed + k - 4]! >> 6) << 4);
      const min = k < 4 ? low & 63 : (low >> 4) | ((bytes[packed + k]! >> 6) << 4);
      const nibbles = at + 16 + 32 * (k >> 1);
      const shift = 4 * (k & 1);
      for (let j = 0; j < 32; j++) {
        into[x + 32 * k + j] = d * scale * ((bytes[nibbles + j]! >> shift) & 15) - dmin * min;
      }
    }
  }
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
