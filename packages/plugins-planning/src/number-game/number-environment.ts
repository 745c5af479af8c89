import type { Environment, EnvironmentStep } from "@afterstate/core";
import { combine, type Expression, numberExpression, type Operator } from "./expression.js";
import type { NumberGoal } from "./number-goal.js";

/**
 * The world of the number game. The state is the expressions that are left; an action is the expression made of two of them,
 * which it replaces. The episode ends when one is left, with reward 1 when its value is the target.
 */
export function numberEnvironment(goal: NumberGoal): Environment<readonly Expression[], Expression> {
  return environmentAt(goal, goal.numbers.map(numberExpression));
}

function environmentAt(goal: NumberGoal, start: readonly Expression[]): Environment<readonly Expression[], Expression> {
  let left = start;
  return {
    reset() {
      left = goal.numbers.map(numberExpression);
      return left;
    },
    step(action): EnvironmentStep<readonly Expression[]> {
      const used = action.combines;
      left = [...left.filter((expression) => expression !== used?.left && expression !== used?.right), action];
      const terminated = left.length === 1;
      const reward = terminated && reaches(action, goal) ? 1 : 0;
      return { observation: left, reward, terminated, truncated: false };
    },
    legalActions: () => combinationsOf(left),
    fork: () => environmentAt(goal, left),
  };
}

/** Whether the expression's value is the target. */
export function reaches({ numerator, denominator }: Expression, { target }: NumberGoal): boolean {
  return numerator === target * denominator;
}

function combinationsOf(expressions: readonly Expression[]): readonly Expression[] {
  const combinations: Expression[] = [];
  const add = (operator: Operator, left: Expression, right: Expression) => {
    const combination = combine(operator, left, right);
    if (combination !== undefined) combinations.push(combination);
  };
  for (const [index, first] of expressions.entries()) {
    for (const second of expressions.slice(index + 1)) {
      add("+", first, second);
      add("*", first, second);
      for (const operator of ["-", "/"] as const) {
        add(operator, first, second);
        add(operator, second, first);
      }
    }
  }
  return combinations;
}
