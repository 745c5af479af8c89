import type { Random } from "@afterstate/core";
import type { Question } from "./questions.js";

interface Term {
  readonly value: number;
  readonly text: string;
  /** 0 a number or brackets, 1 a product, 2 a sum. */
  readonly level: 0 | 1 | 2;
}

/** An expression over all four numbers that makes 24, by exhaustive search; undefined when there is none. */
export function solveNumberGame(numbers: readonly number[]): string | undefined {
  return search(numbers.map((value) => ({ value, text: String(value), level: 0 })));
}

/** A solvable puzzle with one of its solutions. */
export function drawPuzzle(random: Random): { readonly question: Question; readonly solution: string } {
  for (;;) {
    const numbers = Array.from({ length: 4 }, () => 1 + random.integer(13));
    const solution = solveNumberGame(numbers);
    if (solution !== undefined)
      return { question: { kind: "number-game", sum: numbers.join(" "), answer: "24" }, solution };
  }
}

function search(terms: readonly Term[]): string | undefined {
  if (terms.length === 1) return Math.abs(terms[0]!.value - 24) < 1e-9 ? terms[0]!.text : undefined;
  for (const [i, a] of terms.entries()) {
    for (const [j, b] of terms.entries()) {
      if (i === j) continue;
      const rest = terms.filter((_, k) => k !== i && k !== j);
      for (const joined of join(a, b, i < j)) {
        const found = search([...rest, joined]);
        if (found !== undefined) return found;
      }
    }
  }
  return undefined;
}

/** a − b and a / b, and once for each pair a + b and a · b. */
function join(a: Term, b: Term, ordered: boolean): readonly Term[] {
  const bracket = (term: Term, most: number) => (term.level > most ? `(${term.text})` : term.text);
  const joined: Term[] = [{ value: a.value - b.value, text: `${a.text}-${bracket(b, 1)}`, level: 2 }];
  if (b.value !== 0) joined.push({ value: a.value / b.value, text: `${bracket(a, 1)}/${bracket(b, 0)}`, level: 1 });
  if (ordered) {
    joined.push({ value: a.value + b.value, text: `${a.text}+${b.text}`, level: 2 });
    joined.push({ value: a.value * b.value, text: `${bracket(a, 1)}*${bracket(b, 1)}`, level: 1 });
  }
  return joined;
}

/** Whether an expression uses each of the numbers once, nothing else, and makes 24. Malformed ones do not. */
export function solvesNumberGame(expression: string, numbers: readonly number[]): boolean {
  const used = (expression.match(/\d+/g) ?? []).map(Number);
  const sorted = (values: readonly number[]) => [...values].sort((a, b) => a - b).join();
  return sorted(used) === sorted(numbers) && Math.abs(evaluate(expression) - 24) < 1e-9;
}

/** The value of + − * / and brackets, NaN when malformed. */
function evaluate(expression: string): number {
  const tokens = expression.match(/\d+|[-+*/()]/g) ?? [];
  let at = 0;
  const factor = (): number => {
    const token = tokens[at++];
    if (token !== "(") return token === undefined ? Number.NaN : Number(token);
    const value = sum();
    return tokens[at++] === ")" ? value : Number.NaN;
  };
  const product = (): number => {
    let value = factor();
    while (tokens[at] === "*" || tokens[at] === "/") value = tokens[at++] === "*" ? value * factor() : value / factor();
    return value;
  };
  const sum = (): number => {
    let value = product();
    while (tokens[at] === "+" || tokens[at] === "-")
      value = tokens[at++] === "+" ? value + product() : value - product();
    return value;
  };
  const value = sum();
  return at === tokens.length ? value : Number.NaN;
}
