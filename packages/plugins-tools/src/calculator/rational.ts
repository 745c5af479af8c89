/** An exact fraction in lowest terms with a positive denominator. */
export interface Rational {
  readonly numerator: bigint;
  readonly denominator: bigint;
}

/** The fraction numerator / denominator. @throws RangeError if the denominator is 0. */
export function rational(numerator: bigint, denominator = 1n): Rational {
  if (denominator === 0n) throw new RangeError("a fraction needs a denominator other than 0");
  if (denominator === 1n) return { numerator, denominator };
  const sign = denominator < 0n ? -1n : 1n;
  const divisor = sign * greatestCommonDivisor(numerator, denominator);
  return { numerator: numerator / divisor, denominator: denominator / divisor };
}

/** The exact value of digits with an optional fraction: `12`, `0.75`, `.5`. */
export function rationalOfDecimal(digits: string): Rational {
  const [whole = "", fraction = ""] = digits.split(".");
  return rational(BigInt(`0${whole}${fraction}`.replace(/^0+(?=\d)/, "")), 10n ** BigInt(fraction.length));
}

/** a/b + c/d = (ad + cb) / bd */
export function add(left: Rational, right: Rational): Rational {
  return rational(
    left.numerator * right.denominator + right.numerator * left.denominator,
    left.denominator * right.denominator,
  );
}

/** −(a/b) = (−a)/b */
export function negate(value: Rational): Rational {
  return { numerator: -value.numerator, denominator: value.denominator };
}

/** a/b · c/d = ac / bd */
export function multiply(left: Rational, right: Rational): Rational {
  return rational(left.numerator * right.numerator, left.denominator * right.denominator);
}

/** a/b ÷ c/d = ad / bc. @throws RangeError if the divisor is 0. */
export function divide(left: Rational, right: Rational): Rational {
  return rational(left.numerator * right.denominator, left.denominator * right.numerator);
}

/** (a/b)^n = aⁿ / bⁿ, and (b/a)^−n for a negative n; 0^0 = 1. @throws RangeError for 0 to a negative power. */
export function power(base: Rational, exponent: bigint): Rational {
  if (exponent < 0n) {
    if (base.numerator === 0n) throw new RangeError("0 has no negative power");
    const sign = base.numerator < 0n ? -1n : 1n;
    return power({ numerator: sign * base.denominator, denominator: sign * base.numerator }, -exponent);
  }
  return { numerator: base.numerator ** exponent, denominator: base.denominator ** exponent };
}

/** gcd(a, b) ≥ 0 by Euclid: gcd(a, b) = gcd(b, a mod b), gcd(a, 0) = |a|. */
export function greatestCommonDivisor(a: bigint, b: bigint): bigint {
  let [large, small] = [a < 0n ? -a : a, b < 0n ? -b : b];
  while (small !== 0n) [large, small] = [small, large % small];
  return large;
}

/** Digits of |value| in base 2; 1 for 0. */
export function bitLength(value: bigint): number {
  const hexadecimal = (value < 0n ? -value : value).toString(16);
  return (hexadecimal.length - 1) * 4 + (32 - Math.clz32(Number.parseInt(hexadecimal[0]!, 16) || 1));
}

/** The value as text: an integer, else an exact decimal when it terminates, else a fraction such as `1/3`. */
export function textOf({ numerator, denominator }: Rational): string {
  if (denominator === 1n) return numerator.toString();
  const places = decimalPlaces(denominator);
  if (places === undefined) return `${numerator}/${denominator}`;
  const scaled = (numerator * 10n ** BigInt(places)) / denominator;
  const digits = (scaled < 0n ? -scaled : scaled).toString().padStart(places + 1, "0");
  return `${scaled < 0n ? "-" : ""}${digits.slice(0, -places)}.${digits.slice(-places)}`;
}

/** max(i, j) where the denominator is 2^i · 5^j, or undefined when another prime divides it: 1/denominator does not terminate then. */
function decimalPlaces(denominator: bigint): number | undefined {
  const binary = denominator.toString(2);
  const twos = binary.length - 1 - binary.lastIndexOf("1");
  const rest = denominator >> BigInt(twos);
  // 5^j has between j·log₂5 and j·log₂5 + 1 bits, so j is the whole part of bits / log₂5.
  const fives = Math.floor(bitLength(rest) / Math.log2(5));
  return 5n ** BigInt(fives) === rest ? Math.max(twos, fives) : undefined;
}
