import type { Random } from "@afterstate/core";
import { type Chain, calculate, callAt, type Operator, reduceAt } from "./chain.js";
import { type Subgoal, writeObservation } from "./tool-chain.js";

/** One observation and what is said to it. */
export interface Demonstration {
  readonly observation: string;
  readonly action: string;
}

/**
 * Walks a chain the right way and shows at each state what to do there, or a mistake: computing where it is not its turn, the wrong
 * operator, or answering before the end. The walk goes on as if the right thing had been done.
 *
 * @param right share of the calls that are right; the answer at the end always is.
 */
export function demonstrate(chain: Chain, right: number, random: Random): Demonstration[] {
  const shown: Demonstration[] = [];
  let [left, subgoal]: [Chain, Subgoal] = [chain, "?"];
  while (left.operators.length > 0) {
    const observation = writeObservation(subgoal, left);
    const first = left.operators.indexOf("*");
    const at = Math.max(0, first);
    shown.push({
      observation,
      action: random.next() < right ? actionAt(left, at, subgoal) : mistake(left, at, subgoal, random),
    });
    subgoal = first >= 0 ? "*" : "+";
    left = reduceAt(left, at, calculate(callAt(left, at))!);
  }
  shown.push({ observation: writeObservation(subgoal, left), action: `s=${left.numbers[0]}` });
  return shown;
}

function actionAt(chain: Chain, at: number, subgoal: Subgoal, operator: Operator = chain.operators[at]!): string {
  const { left, right } = callAt(chain, at);
  const next = operator === "*" ? "*" : "+";
  return `${next === subgoal ? "k" : "s"}${next}${left}${operator}${right}`;
}

function mistake(chain: Chain, at: number, subgoal: Subgoal, random: Random): string {
  const others = chain.operators.flatMap((operator, i) => (i !== at && operator !== "*" ? [i] : []));
  const kind = random.integer(others.length === 0 ? 2 : 3);
  if (kind === 0) return `s=${chain.numbers[0]}`;
  if (kind === 2) return actionAt(chain, random.pick(others), subgoal);
  const operator = random.pick((["+", "-", "*"] as const).filter((other) => other !== chain.operators[at]));
  return actionAt(chain, at, subgoal, operator);
}
