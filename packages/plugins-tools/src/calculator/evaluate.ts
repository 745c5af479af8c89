import { modularInverse, modularPower, residueOf } from "./modular.js";
import { type Expression, parseExpression } from "./parse.js";
import * as rationals from "./rational.js";
import { bitLength, type Rational, rational, textOf } from "./rational.js";
import { invalidExpression } from "./tokenize.js";

/** The longest number that is worked out, in binary digits. */
export const MAX_BITS = 100_000;
/** How much one expression may cost, in products of two 64-bit words: well under a second. */
const MAX_WORK = 1e8;
const HUNDRED = rational(100n);

type Binary = Extract<Expression, { kind: "binary" }>;

/**
 * The exact value of an arithmetic expression as text: an integer, a terminating decimal, or a reduced fraction.
 *
 * @throws AgentError `tool/invalid-input`, saying what is wrong and where.
 */
export function evaluateExpression(text: string): string {
  return textOf(evaluate(parseExpression(text)));
}

/** The exact value of a parsed expression. Time and memory are bounded whatever the expression. */
export function evaluate(whole: Expression): Rational {
  const known = new Map<Expression, Rational>();
  let work = 0;

  const spend = (cost: number, at: number): void => {
    work += cost;
    if (work > MAX_WORK) throw invalidExpression("the expression takes too much work", at);
  };

  const exact = (node: Expression): Rational => {
    if (node.kind === "number") return node.value;
    if (node.kind === "negative") return rationals.negate(exact(node.operand));
    let value = known.get(node);
    if (value === undefined) {
      value = node.kind === "percent" ? exactDivide(exact(node.operand), HUNDRED, node.at) : exactBinary(node);
      known.set(node, value);
    }
    return value;
  };

  const exactBinary = ({ operator, left, right, at }: Binary): Rational => {
    if (operator === "mod") return rational(remainder(left, exact(right), at));
    const [a, b] = [exact(left), exact(right)];
    if (operator === "^") return exactPower(a, b, at);
    if (operator === "/") return exactDivide(a, b, at);
    reserve(a, b, at);
    if (operator === "*") return rationals.multiply(a, b);
    return rationals.add(a, operator === "-" ? rationals.negate(b) : b);
  };

  const exactDivide = (a: Rational, b: Rational, at: number): Rational => {
    if (b.numerator === 0n) throw invalidExpression("division by zero", at);
    const inverse = { numerator: b.denominator, denominator: b.numerator };
    reserve(a, inverse, at);
    return rationals.divide(a, b);
  };

  const exactPower = (base: Rational, exponent: Rational, at: number): Rational => {
    if (exponent.denominator !== 1n) {
      throw invalidExpression(`the exponent ${brief(textOf(exponent))} is not a whole number`, at);
    }
    if (base.numerator === 0n && exponent.numerator < 0n) throw invalidExpression("division by zero", at);
    const bits = Math.max(bitLength(base.numerator), bitLength(base.denominator));
    if ((bits - 1) * Math.abs(Number(exponent.numerator)) > MAX_BITS) throw tooLong(at);
    spend(MAX_BITS / 64, at);
    return rationals.power(base, exponent.numerator);
  };

  /** Refuses a sum or product that would be too long, and counts what multiplying and reducing it costs. */
  const reserve = (a: Rational, b: Rational, at: number): void => {
    const numerator = bitLength(a.numerator) + bitLength(b.numerator);
    const denominator = bitLength(a.denominator) + bitLength(b.denominator);
    if (Math.max(numerator, denominator) > MAX_BITS + 2) throw tooLong(at);
    spend((bitLength(a.numerator) * bitLength(b.numerator)) / 4096, at);
    if (denominator > 2) spend((numerator * denominator) / 16, at);
  };

  /** left mod modulus; through residues alone where that works, so that `3^(10^30) mod 41` needs no long number. */
  const remainder = (left: Expression, modulus: Rational, at: number): bigint => {
    if (modulus.denominator !== 1n || modulus.numerator < 1n) {
      throw invalidExpression(`the modulus ${brief(textOf(modulus))} is not a whole number above 0`, at);
    }
    const m = modulus.numerator;
    const short = residue(left, m);
    if (short !== undefined) return short;
    const { numerator, denominator } = exact(left);
    if (denominator !== 1n && hasDecimal(left)) {
      throw invalidExpression("mod takes whole numbers and fractions of them, not decimals", at);
    }
    const quotient = quotientResidue(residueOf(numerator, m), residueOf(denominator, m), m, at);
    if (quotient === undefined) {
      throw invalidExpression(`${brief(`${denominator}`)} has no inverse modulo ${brief(`${m}`)}`, at);
    }
    return quotient;
  };

  /** The residue of a node, or undefined where a divisor has no inverse: the whole may have a residue all the same. */
  const residue = (node: Expression, m: bigint): bigint | undefined => {
    if (node.kind === "negative") {
      const operand = residue(node.operand, m);
      return operand === undefined ? undefined : residueOf(-operand, m);
    }
    if (node.kind === "binary" && node.operator !== "mod") return binaryResidue(node, m);
    const { numerator, denominator } = exact(node);
    return denominator === 1n ? residueOf(numerator, m) : undefined;
  };

  const binaryResidue = ({ operator, left, right, at }: Binary, m: bigint): bigint | undefined => {
    const a = residue(left, m);
    if (a === undefined) return undefined;
    if (operator === "^") return powerResidue(a, exact(right), m, at);
    const b = residue(right, m);
    if (b === undefined) return undefined;
    spend((bitLength(m) / 64) ** 2, at);
    if (operator === "/") return quotientResidue(a, b, m, at);
    if (operator === "*") return residueOf(a * b, m);
    return residueOf(operator === "+" ? a + b : a - b, m);
  };

  const powerResidue = (base: bigint, exponent: Rational, m: bigint, at: number): bigint | undefined => {
    if (exponent.denominator !== 1n) {
      throw invalidExpression(`the exponent ${brief(textOf(exponent))} is not a whole number`, at);
    }
    const n = exponent.numerator;
    spend(bitLength(n) * 3 * ((bitLength(m) / 64) ** 2 + 20), at);
    if (n >= 0n) return modularPower(base, n, m);
    const inverse = quotientResidue(1n, base, m, at);
    return inverse === undefined ? undefined : modularPower(inverse, -n, m);
  };

  const quotientResidue = (a: bigint, b: bigint, m: bigint, at: number): bigint | undefined => {
    if (b === 1n) return a;
    spend(bitLength(m) ** 2 / 8, at);
    const inverse = modularInverse(b, m);
    return inverse === undefined ? undefined : residueOf(a * inverse, m);
  };

  return exact(whole);
}

/** Whether a part of the expression is written as a decimal or a percentage, so that a remainder could be meant either way. */
function hasDecimal(node: Expression): boolean {
  if (node.kind === "number") return node.value.denominator !== 1n;
  if (node.kind === "binary") return hasDecimal(node.left) || hasDecimal(node.right);
  return node.kind === "percent" || hasDecimal(node.operand);
}

function tooLong(at: number) {
  return invalidExpression(`the result would have more than ${MAX_BITS} binary digits`, at);
}

/** A number short enough for a sentence. */
function brief(digits: string): string {
  return digits.length <= 40 ? digits : `${digits.slice(0, 30)}… (${digits.length} characters)`;
}
