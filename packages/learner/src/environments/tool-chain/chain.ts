import { mixSeed, type Random } from "@afterstate/core";

/** What a calculator computes here. */
export type Operator = "+" | "-" | "*";

/** What is left of a sum of products: n_0 o_0 n_1 o_1 … n_k. One operator less than numbers. */
export interface Chain {
  readonly numbers: readonly number[];
  readonly operators: readonly Operator[];
}

/** One call of the calculator. */
export interface Call {
  readonly left: number;
  readonly operator: Operator;
  readonly right: number;
}

/** Results and what is left stay at two digits, whatever right calls are made in order. */
const MOST = 99;
/** Every so many tasks is held out. */
const HELD_OUT = 5;

/** A chain as it is written, e.g. `12+5*3-4`. */
export function writeChain({ numbers, operators }: Chain): string {
  return numbers.map((number, i) => `${number}${operators[i] ?? ""}`).join("");
}

/** What the calculator says; undefined where it refuses: below 0, or beyond three digits. */
export function calculate({ left, operator, right }: Call): number | undefined {
  const result = operator === "*" ? left * right : operator === "+" ? left + right : left - right;
  return result >= 0 && result <= 999 ? result : undefined;
}

/** The value, products first. */
export function chainValue({ numbers, operators }: Chain): number {
  let [sum, sign, product] = [0, 1, numbers[0]!];
  for (const [i, operator] of operators.entries()) {
    if (operator === "*") product *= numbers[i + 1]!;
    else {
      sum += sign * product;
      [sign, product] = [operator === "+" ? 1 : -1, numbers[i + 1]!];
    }
  }
  return sum + sign * product;
}

/** The call at an operator. */
export function callAt({ numbers, operators }: Chain, at: number): Call {
  return { left: numbers[at]!, operator: operators[at]!, right: numbers[at + 1]! };
}

/** What is left once the call at an operator is replaced by its result. */
export function reduceAt(chain: Chain, at: number, result: number): Chain {
  const { numbers, operators } = chain;
  return {
    numbers: [...numbers.slice(0, at), result, ...numbers.slice(at + 2)],
    operators: [...operators.slice(0, at), ...operators.slice(at + 1)],
  };
}

/** Whether the call at an operator leaves the value as it is: what order of operations allows. */
export function isRightAt(chain: Chain, at: number): boolean {
  const result = calculate(callAt(chain, at));
  return result !== undefined && chainValue(reduceAt(chain, at, result)) === chainValue(chain);
}

/**
 * A task of `length` operations: products of digits and numbers below 50, two fifths of the operators a product, all right
 * intermediate results from 0 to 99.
 *
 * @param heldOut whether from the fifth of all tasks that training never sees.
 */
export function drawChain(length: number, heldOut: boolean, random: Random): Chain {
  for (;;) {
    const chain = draw(length, random);
    if ((mixSeed("tool-chain", writeChain(chain)) % HELD_OUT === 0) === heldOut) return chain;
  }
}

function draw(length: number, random: Random): Chain {
  const numbers: number[] = [];
  const operators: Operator[] = [];
  let sum = 0;
  while (numbers.length <= length) {
    const factors = drawTerm(length + 1 - numbers.length, random);
    const term = factors.reduce((product, factor) => product * factor, 1);
    const signs = [...(sum + term <= MOST ? [1] : []), ...(numbers.length > 0 && sum - term >= 0 ? [-1] : [])];
    if (signs.length === 0) continue;
    const sign = random.pick(signs);
    if (numbers.length > 0) operators.push(sign === 1 ? "+" : "-");
    sum += sign * term;
    for (const [i, factor] of factors.entries()) {
      if (i > 0) operators.push("*");
      numbers.push(factor);
    }
  }
  return { numbers, operators };
}

/** The factors of one term, at most `most` of them. */
function drawTerm(most: number, random: Random): number[] {
  const factors = [];
  while (factors.length < Math.min(3, most)) {
    factors.push(2 + random.integer(8));
    if (random.next() > 0.5) break;
  }
  if (factors.length === 1) return [1 + random.integer(49)];
  return factors.reduce((product, factor) => product * factor, 1) <= MOST ? factors : factors.slice(0, 2);
}
