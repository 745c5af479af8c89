import { AgentError } from "@afterstate/core";

/** An operator after normalisation: `**` is `^`, `×` is `*`, `÷` is `/`, `−` is `-`. */
export type Operator = "+" | "-" | "*" | "/" | "^" | "mod" | "%" | "(" | ")";

/** One word of an expression. `at` is its place in the text, counted from 1. */
export type Token =
  | { readonly kind: "number"; readonly digits: string; readonly at: number }
  | { readonly kind: "operator"; readonly operator: Operator; readonly at: number }
  | { readonly kind: "end"; readonly at: number };

/** The longest expression that is read, in characters. */
export const MAX_LENGTH = 2_000;

const SPACE = /\s+/y;
const NUMBER = /\d+(?:\.\d+)?|\.\d+/y;
const OPERATOR = /\*\*|[-+*/^%()×÷·−]|mod(?![a-z])/iy;
const SPELLINGS: Readonly<Record<string, Operator>> = { "**": "^", "×": "*", "·": "*", "÷": "/", "−": "-" };

/** The tokens of an expression, ended by one `end` token. @throws AgentError `tool/invalid-input` with the position. */
export function tokenize(text: string): readonly Token[] {
  if (text.length > MAX_LENGTH) {
    throw invalidExpression(`the expression is ${text.length} characters long; at most ${MAX_LENGTH} are read`);
  }
  const tokens: Token[] = [];
  let index = 0;
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = index;
    const match = pattern.exec(text)?.[0];
    if (match !== undefined) index += match.length;
    return match;
  };
  while (index < text.length) {
    if (take(SPACE) !== undefined) continue;
    const at = index + 1;
    const digits = take(NUMBER);
    if (digits !== undefined) {
      tokens.push({ kind: "number", digits, at });
      continue;
    }
    const spelling = take(OPERATOR)?.toLowerCase();
    if (spelling === undefined) {
      throw invalidExpression(`"${String.fromCodePoint(text.codePointAt(index)!)}" cannot be read`, at);
    }
    tokens.push({ kind: "operator", operator: SPELLINGS[spelling] ?? (spelling as Operator), at });
  }
  tokens.push({ kind: "end", at: text.length + 1 });
  return tokens;
}

/** The error of an expression that cannot be read or worked out. */
export function invalidExpression(problem: string, at?: number): AgentError {
  return new AgentError("tool/invalid-input", at === undefined ? problem : `${problem}, at position ${at}`);
}
