import { AgentError } from "@afterstate/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { evaluateExpression } from "./evaluate.js";

const problemOf = (text: string): string => {
  try {
    return `value ${evaluateExpression(text)}`;
  } catch (thrown) {
    if (!AgentError.isInstance(thrown)) throw thrown;
    expect(thrown.code).toBe("tool/invalid-input");
    return thrown.message;
  }
};

describe("evaluateExpression on known answers", () => {
  it.each([
    // precedence and association
    ["2+3*4", "14"], // 2 + 12
    ["(2+3)*4", "20"],
    ["10-4-3", "3"], // (10 − 4) − 3
    ["100/10/5", "2"], // (100 / 10) / 5
    ["2^3^2", "512"], // 2^9
    ["-2^2", "-4"], // −(2²)
    ["(-2)^2", "4"],
    ["2*-3", "-6"],
    ["2^-3", "0.125"], // 1/8
    ["2**10", "1024"],
    ["--5", "5"],
    ["7 − 8 ÷ 8 × 4", "3"], // 7 − 1 · 4
    // exact decimals and fractions
    ["0.1+0.2", "0.3"],
    ["1/3", "1/3"],
    ["2/6+1/6", "0.5"], // 3/6
    ["-4/6", "-2/3"],
    ["1/8", "0.125"],
    ["-1/40", "-0.025"], // 40 = 2³·5
    [".5*.5", "0.25"],
    ["1.50", "1.5"],
    ["3.0", "3"],
    ["(2/3)^3", "8/27"],
    ["(-2/3)^-3", "-3.375"], // −27/8
    ["(7-8/8)*4", "24"], // (7 − 1) · 4
    ["0^0", "1"],
    ["1^(10^5000)", "1"],
    ["(-1)^(10^30+1)", "-1"],
    // percentages
    ["20%", "0.2"],
    ["20% * 50", "10"],
    ["80 + 15%", "80.15"],
    ["100 * (1 + 5%)^2", "110.25"], // 1.05² = 1.1025
    ["50% - 5", "-4.5"],
    // remainders and modular powers
    ["17 mod 5", "2"],
    ["17 % 5", "2"],
    ["-17 mod 5", "3"], // −17 = −4·5 + 3
    ["2 + 17 mod 5", "4"],
    ["3^17 mod 41", "3"], // 3^4 = 81 ≡ −1, 3^8 ≡ 1, 3^17 = 3^16·3 ≡ 3
    ["3^17*2 mod 41", "6"],
    ["2^(10^30) mod 7", "2"], // 2³ ≡ 1 and 10^30 ≡ 1 (mod 3)
    ["3^-1 mod 7", "5"], // 3·5 = 15 ≡ 1
    ["1/3 mod 7", "5"],
    ["6/2 mod 4", "3"], // 2 has no inverse modulo 4, yet 6/2 = 3
    ["(0.5*4) mod 3", "2"],
    ["5 mod 1", "0"],
    ["0^0 mod 1", "0"],
    ["7 MOD 4", "3"],
    // long integers
    ["2^100", "1267650600228229401496703205376"],
    ["99999999999999999999 * 99999999999999999999", "9999999999999999999800000000000000000001"], // (10^20 − 1)² = 10^40 − 2·10^20 + 1
  ])("%s = %s", (text, value) => expect(evaluateExpression(text)).toBe(value));

  it.each([
    ["", "the expression ends where a number is expected, at position 1"],
    ["2+", "the expression ends where a number is expected, at position 3"],
    ["2 $ 3", '"$" cannot be read, at position 3'],
    ["(2+3", "the parenthesis opened at position 1 is not closed, at position 5"],
    ["2+3)", '")" closes nothing, at position 4'],
    ["2 3", 'an operator is missing before "3", at position 3'],
    ["2(3)", 'an operator is missing before "(", at position 2'],
    ["*2", '"*" stands where a number is expected, at position 1'],
    ["1/0", "division by zero, at position 2"],
    ["0^-1", "division by zero, at position 2"],
    ["1/(2-2)", "division by zero, at position 2"],
    ["2^0.5", "the exponent 0.5 is not a whole number, at position 2"],
    ["1/2 mod 4", "2 has no inverse modulo 4, at position 5"],
    ["5 mod 0", "the modulus 0 is not a whole number above 0, at position 3"],
    ["5 mod 1.5", "the modulus 1.5 is not a whole number above 0, at position 3"],
    ["5.5 mod 5", "mod takes whole numbers and fractions of them, not decimals, at position 5"],
    ["1..2", '"." cannot be read, at position 2'],
    ["9^9^9^9", "the result would have more than 100000 binary digits, at position 4"],
  ])("%s is refused with a sentence and a position", (text, message) => expect(problemOf(text)).toBe(message));
});

describe("evaluateExpression within its limits", () => {
  it.each([
    ["a tower of powers", "9^9^9^9"],
    ["a power of a long power", "(2^99999)^2"],
    ["a huge negative power", "3^-99999999999"],
    ["quotients of long coprime numbers", Array(60).fill("(2^99989-1)/3^63000").join("+")],
    [
      "sums of fractions whose denominators are long",
      Array.from({ length: 90 }, (_, i) => `1/(7^9999+${i})`).join("+"),
    ],
    ["long modular powers", "3^(2^99999) mod (2^99998-1)"],
    ["many modular powers", Array(70).fill("3^(2^20000) mod (2^9999-1)").join("+")],
    ["remainders nested in quotients", `${"(".repeat(150)}1${" mod 4)/2*2".repeat(150)}`],
    ["too long a text", "1+".repeat(5_000)],
  ])("%s end soon", (_, text) => expect(problemOf(text)).toMatch(/\S/), 5_000);

  it("reads parentheses and signs nested as deep as the length allows", () => {
    expect(evaluateExpression(`${"(".repeat(990)}7${")".repeat(990)}`)).toBe("7");
    expect(evaluateExpression(`${"-".repeat(1_998)}7`)).toBe("7");
    expect(evaluateExpression(Array(900).fill("1").join("^"))).toBe("1");
  });

  it("works out a power of 99,999 binary digits and refuses one of 100,002", () => {
    expect(evaluateExpression("2^99998 mod 1000")).toBe(String(2n ** 99_998n % 1000n));
    expect(evaluateExpression("2^99998")).toBe((2n ** 99_998n).toString());
    expect(problemOf("2^100001")).toContain("more than 100000 binary digits");
  });
});

describe("evaluateExpression in general", () => {
  const integer = fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n });
  const number = fc
    .tuple(integer, fc.bigInt({ min: 1n, max: 10n ** 9n }))
    .map(([numerator, denominator]) => `(${numerator}/${denominator})`);
  const same = (left: string, right: string) => expect(evaluateExpression(left)).toBe(evaluateExpression(right));

  it("keeps the laws of a field", () => {
    fc.assert(
      fc.property(number, number, number, (a, b, c) => {
        same(`${a}+${b}`, `${b}+${a}`);
        same(`${a}*${b}`, `${b}*${a}`);
        same(`${a}+(${b}+${c})`, `(${a}+${b})+${c}`);
        same(`${a}*(${b}*${c})`, `(${a}*${b})*${c}`);
        same(`${a}*(${b}+${c})`, `${a}*${b}+${a}*${c}`);
        same(`${a}-${a}`, "0");
        if (evaluateExpression(a) !== "0") same(`${b}*${a}/${a}`, b);
      }),
    );
  });

  it("agrees with BigInt on whole numbers", () => {
    fc.assert(
      fc.property(integer, integer, fc.integer({ min: 0, max: 40 }), (a, b, n) => {
        expect(evaluateExpression(`(${a})+(${b})`)).toBe(`${a + b}`);
        expect(evaluateExpression(`(${a})-(${b})`)).toBe(`${a - b}`);
        expect(evaluateExpression(`(${a})*(${b})`)).toBe(`${a * b}`);
        expect(evaluateExpression(`(${a})^${n}`)).toBe(`${a ** BigInt(n)}`);
        const m = (b < 0n ? -b : b) + 1n;
        expect(evaluateExpression(`(${a})^${n} mod ${m}`)).toBe(`${((a ** BigInt(n) % m) + m) % m}`);
      }),
    );
  });

  it("gives back every terminating decimal as it was written", () => {
    fc.assert(
      fc.property(integer, fc.integer({ min: 1, max: 60 }), (scaled, places) => {
        const digits = `${scaled < 0n ? -scaled : scaled}`.padStart(places + 1, "0");
        const written = `${digits.slice(0, -places)}.${digits.slice(-places)}`;
        const shortest = written.replace(/\.?0+$/, "");
        expect(evaluateExpression(written)).toBe(shortest);
        expect(evaluateExpression(`${scaled < 0n ? -scaled : scaled}/10^${places}`)).toBe(shortest);
      }),
    );
  });

  it("gives the one x with b·x ≡ a for a/b modulo a prime", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e6 }), fc.integer({ min: 1, max: 1_000_002 }), (a, b) => {
        const x = BigInt(evaluateExpression(`${a}/${b} mod 1000003`));
        expect((BigInt(b) * x) % 1_000_003n).toBe(BigInt(a) % 1_000_003n);
      }),
    );
  });

  it("makes of any text a value or a refusal", () => {
    const soup = fc.array(fc.constantFrom(..."0123456789.+-*/^%()  ", "mod", "**", "99", "e", "×"), { maxLength: 60 });
    const value = /^value -?\d+(\.\d+|\/\d+)?$/;
    fc.assert(
      fc.property(
        fc.oneof(
          soup.map((parts) => parts.join("")),
          fc.string(),
          fc.string({ unit: "binary" }),
        ),
        (text) => {
          expect(problemOf(text)).toMatch(/^value|.{10}/u);
          const outcome = problemOf(text);
          if (outcome.startsWith("value")) expect(outcome).toMatch(value);
        },
      ),
      { numRuns: 3_000 },
    );
  });
});
