/** value mod modulus in [0, modulus), also for a negative value. */
export function residueOf(value: bigint, modulus: bigint): bigint {
  const remainder = value % modulus;
  return remainder < 0n ? remainder + modulus : remainder;
}

/**
 * base^exponent mod modulus by square-and-multiply.
 *
 *   b^(2k) = (b²)^k,  b^(2k+1) = b · (b²)^k        Knuth, TAOCP vol. 2, §4.6.3, Algorithm A
 *
 * @param exponent ≥ 0.
 */
export function modularPower(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let [result, square] = [residueOf(1n, modulus), residueOf(base, modulus)];
  // Bits from the lowest up; as text, since shifting a long exponent once a bit would take quadratic time.
  const bits = exponent.toString(2);
  for (let place = bits.length - 1; place >= 0; place--) {
    if (bits[place] === "1") result = (result * square) % modulus;
    square = (square * square) % modulus;
  }
  return result;
}

/**
 * The x in [0, modulus) with value · x ≡ 1 (mod modulus), or undefined when value and modulus share a divisor.
 *
 *   r_{i+1} = r_{i−1} − q·r_i,  t_{i+1} = t_{i−1} − q·t_i,  t·value ≡ r (mod modulus) throughout
 *   Knuth, TAOCP vol. 2, §4.5.2, Algorithm X
 */
export function modularInverse(value: bigint, modulus: bigint): bigint | undefined {
  let [remainder, next] = [modulus, residueOf(value, modulus)];
  let [inverse, nextInverse] = [0n, 1n];
  while (next !== 0n) {
    const quotient = remainder / next;
    [remainder, next] = [next, remainder - quotient * next];
    [inverse, nextInverse] = [nextInverse, inverse - quotient * nextInverse];
  }
  return remainder === 1n ? residueOf(inverse, modulus) : undefined;
}
