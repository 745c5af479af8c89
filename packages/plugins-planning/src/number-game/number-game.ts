import type { PlanningDomain } from "../mcts-planner.js";
import { type Expression, expressionText } from "./expression.js";
import { numberEnvironment, reaches } from "./number-environment.js";
import { type NumberGoal, numberGoalOf, numberGoalText } from "./number-goal.js";

/** The Game of 24 and its kin as a planning domain: four numbers from 1 to 13, each used once, are to make a target. */
export function numberGame(): PlanningDomain<Expression> {
  return {
    goalOf(text) {
      const goal = numberGoalOf(text);
      return goal && numberGoalText(goal);
    },
    environment: (goal) => numberEnvironment(parsedGoal(goal)),
    nameOf: expressionText,
    describe(actions, goal) {
      const last = actions.at(-1);
      const numbers = parsedGoal(goal).numbers;
      if (last === undefined || actions.length !== numbers.length - 1 || !reaches(last, parsedGoal(goal)))
        return undefined;
      return `Plan: ${expressionText(last)}`;
    },
  };
}

function parsedGoal(goal: string): NumberGoal {
  const parsed = numberGoalOf(goal);
  if (parsed === undefined) throw new TypeError(`"${goal}" is no goal of the number game`);
  return parsed;
}
