/** An operator between two numbers. */
export type Operator = "+" | "-" | "*" | "/";

/** A number, or two expressions combined, with its exact value numerator / denominator. */
export interface Expression {
  readonly numerator: number;
  readonly denominator: number;
  /** Absent for a plain number. */
  readonly combines?: { readonly operator: Operator; readonly left: Expression; readonly right: Expression };
}

/** A plain whole number. */
export function numberExpression(value: number): Expression {
  return { numerator: value, denominator: 1 };
}

/**
 * Two expressions combined, or undefined for a division by 0. Fractions are not reduced: over four numbers up to 13
 * numerators and denominators stay far below 2^53.
 */
export function combine(operator: Operator, left: Expression, right: Expression): Expression | undefined {
  const [a, b, c, d] = [left.numerator, left.denominator, right.numerator, right.denominator];
  const combines = { operator, left, right };
  switch (operator) {
    case "+":
      return { numerator: a * d + c * b, denominator: b * d, combines };
    case "-":
      return { numerator: a * d - c * b, denominator: b * d, combines };
    case "*":
      return { numerator: a * c, denominator: b * d, combines };
    case "/":
      return c === 0 ? undefined : { numerator: a * d, denominator: b * c, combines };
  }
}

/** The expression as text, with the parentheses that it needs and no others. */
export function expressionText({ numerator, combines }: Expression): string {
  if (combines === undefined) return `${numerator}`;
  const { operator, left, right } = combines;
  const own = precedence(operator);
  const isOrdered = operator === "-" || operator === "/";
  const leftText = enclosed(left, bindingOf(left) < own);
  const rightText = enclosed(right, bindingOf(right) < own || (isOrdered && bindingOf(right) === own));
  return `${leftText}${operator}${rightText}`;
}

function enclosed(expression: Expression, needsParentheses: boolean): string {
  const text = expressionText(expression);
  return needsParentheses ? `(${text})` : text;
}

function bindingOf({ combines }: Expression): number {
  return combines === undefined ? 3 : precedence(combines.operator);
}

function precedence(operator: Operator): number {
  return operator === "*" || operator === "/" ? 2 : 1;
}
