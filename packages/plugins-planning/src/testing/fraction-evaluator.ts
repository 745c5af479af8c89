/**
 * The exact value of an expression of whole numbers, + - * / and parentheses, and the numbers in it.
 * Written apart from the package's own expressions, to judge them.
 */
export function evaluateFraction(text: string): {
  readonly value: readonly [bigint, bigint];
  readonly numbers: number[];
} {
  const tokens = text.match(/\d+|[-+*/()]/g) ?? [];
  if (tokens.join("") !== text) throw new Error(`"${text}" has characters that are no arithmetic`);
  const numbers: number[] = [];
  let next = 0;
  type Fraction = readonly [bigint, bigint];

  const factor = (): Fraction => {
    const token = tokens[next++];
    if (token === "(") {
      const inside = sum();
      if (tokens[next++] !== ")") throw new Error(`a parenthesis is open in "${text}"`);
      return inside;
    }
    if (token === undefined || !/^\d+$/.test(token)) throw new Error(`"${token}" is no number in "${text}"`);
    numbers.push(Number(token));
    return [BigInt(token), 1n];
  };
  const product = (): Fraction => {
    let [a, b] = factor();
    while (tokens[next] === "*" || tokens[next] === "/") {
      const operator = tokens[next++];
      const [c, d] = factor();
      if (operator === "/" && c === 0n) throw new Error(`"${text}" divides by 0`);
      [a, b] = operator === "*" ? [a * c, b * d] : [a * d, b * c];
    }
    return [a, b];
  };
  const sum = (): Fraction => {
    let [a, b] = product();
    while (tokens[next] === "+" || tokens[next] === "-") {
      const operator = tokens[next++];
      const [c, d] = product();
      [a, b] = [operator === "+" ? a * d + c * b : a * d - c * b, b * d];
    }
    return [a, b];
  };

  const value = sum();
  if (next !== tokens.length) throw new Error(`"${text}" goes on after its end`);
  return { value, numbers };
}
