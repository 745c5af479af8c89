/** IEEE 754 binary16: (−1)^s · 2^(e−15) · (1 + f/1024); e = 0: (−1)^s · 2^−14 · f/1024; e = 31: ∞ or NaN. */
function computed(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  if (exponent === 0) return sign * 2 ** -24 * fraction;
  return sign * 2 ** (exponent - 15) * (1 + fraction / 1024);
}

/** The numbers of all halves, by their bits. */
export const HALVES: Float32Array = Float32Array.from({ length: 1 << 16 }, (_, half) => computed(half));

/** The number in the two bytes at `offset`, little endian. */
export function halfAt(bytes: Uint8Array, offset: number): number {
  return HALVES[bytes[offset]! | (bytes[offset + 1]! << 8)]!;
}
