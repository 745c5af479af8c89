import { type Rational, rationalOfDecimal } from "./rational.js";
import { invalidExpression, type Operator, type Token, tokenize } from "./tokenize.js";

/** An operator between two operands. */
export type BinaryOperator = "+" | "-" | "*" | "/" | "^" | "mod";

/** A parsed expression. `at` is the place of the number or operator in the text, counted from 1. */
export type Expression =
  | { readonly kind: "number"; readonly value: Rational; readonly at: number }
  | { readonly kind: "negative"; readonly operand: Expression; readonly at: number }
  | { readonly kind: "percent"; readonly operand: Expression; readonly at: number }
  | {
      readonly kind: "binary";
      readonly operator: BinaryOperator;
      readonly left: Expression;
      readonly right: Expression;
      readonly at: number;
    };

const SIGN_BINDING = 30;
const PERCENT_BINDING = 50;
/** How tightly an operator holds its left and its right operand; a smaller right than left makes it right-associative. */
const BINDINGS: Readonly<Record<BinaryOperator, readonly [left: number, right: number]>> = {
  "+": [10, 11],
  "-": [10, 11],
  "*": [20, 21],
  "/": [20, 21],
  mod: [20, 21],
  "^": [40, 39],
};

/**
 * Parses an expression by operator precedence (Pratt, "Top down operator precedence", 1973): an operand is extended
 * by the operators after it for as long as they bind tighter than the operator before it.
 *
 * @throws AgentError `tool/invalid-input` with the position.
 */
export function parseExpression(text: string): Expression {
  const tokens = tokenize(text);
  let next = 0;

  const operand = (): Expression => {
    const token = tokens[next++]!;
    if (token.kind === "number") return { kind: "number", value: rationalOfDecimal(token.digits), at: token.at };
    if (token.kind === "end") throw invalidExpression("the expression ends where a number is expected", token.at);
    if (token.operator === "-") return { kind: "negative", operand: expression(SIGN_BINDING), at: token.at };
    if (token.operator === "+") return expression(SIGN_BINDING);
    if (token.operator !== "(") {
      throw invalidExpression(`"${token.operator}" stands where a number is expected`, token.at);
    }
    const inside = expression(0);
    const close = tokens[next++]!;
    if (close.kind === "operator" && close.operator === ")") return inside;
    throw invalidExpression(`the parenthesis opened at position ${token.at} is not closed`, close.at);
  };

  const expression = (binding: number): Expression => {
    let left = operand();
    for (;;) {
      const token = tokens[next]!;
      if (token.kind === "number") throw invalidExpression(`an operator is missing before "${token.digits}"`, token.at);
      if (token.kind === "end" || token.operator === ")") return left;
      if (token.operator === "(") throw invalidExpression('an operator is missing before "("', token.at);
      if (token.operator === "%" && !startsOperand(tokens[next + 1]!)) {
        if (PERCENT_BINDING < binding) return left;
        next++;
        left = { kind: "percent", operand: left, at: token.at };
        continue;
      }
      const operator: BinaryOperator = token.operator === "%" ? "mod" : token.operator;
      const [leftBinding, rightBinding] = BINDINGS[operator];
      if (leftBinding < binding) return left;
      next++;
      left = { kind: "binary", operator, left, right: expression(rightBinding), at: token.at };
    }
  };

  const whole = expression(0);
  const rest = tokens[next < tokens.length ? next : tokens.length - 1]!;
  if (rest.kind === "operator")
    throw invalidExpression(`"${rest.operator satisfies Operator}" closes nothing`, rest.at);
  return whole;
}

/** `17 % 5` is a remainder, `20% + 5` and `20%` are percentages: a sign after `%` does not make it a remainder. */
function startsOperand(token: Token): boolean {
  return token.kind === "number" || (token.kind === "operator" && token.operator === "(");
}
