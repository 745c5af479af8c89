import type { Hierarchy } from "../../credit/token-spans.js";
import type { RolloutObservation, RolloutTask, RolloutTransition } from "../rollout-environment.js";
import {
  type Call,
  type Chain,
  calculate,
  callAt,
  chainValue,
  isRightAt,
  type Operator,
  reduceAt,
  writeChain,
} from "./chain.js";

/** What a policy is at: products, sums, or the answer. "?" before it has said. */
export type Subgoal = "?" | "*" | "+" | "=";

/** An action as it was read. */
export interface ChainAction {
  readonly switches: boolean;
  readonly subgoal: Subgoal;
  readonly call?: Call;
  readonly answer?: number;
}

const ACTION = /^([sk])([*+=])(?:(\d{1,3})([-+*])(\d{1,3})|(\d{1,3}))$/;

/**
 * Reads `s*5*3` (switch to products: 5 · 3), `k+27-4` (keep at sums: 27 − 4) or `s=23` (switch to the answer: 23).
 * @returns undefined for what is none of these.
 */
export function readAction(text: string): ChainAction | undefined {
  const [, turn, subgoal, left, operator, right, answer] = ACTION.exec(text) ?? [];
  if (turn === undefined || (answer !== undefined) !== (subgoal === "=")) return undefined;
  const said = { switches: turn === "s", subgoal: subgoal as Subgoal };
  if (answer !== undefined) return { ...said, answer: Number(answer) };
  return { ...said, call: { left: Number(left), operator: operator as Operator, right: Number(right) } };
}

/** What the policy reads: what it is at, and what is left. */
export function writeObservation(subgoal: Subgoal, chain: Chain): string {
  return `${subgoal}${writeChain(chain)}`;
}

/**
 * Computes a chain by one call of a calculator for each operation, and answers: a task of length + 1 steps in which any wrong step
 * spoils the end.
 *
 * A call that stands in what is left is replaced there by its result, whether or not order of operations allows it: what is wrong
 * then shows at the answer alone. Any other call changes nothing and costs a step, and there are no steps to spare. Rewards: 1
 * for the right answer. Verdicts: 1 for each step that the value of what is left survived, 0 and not −1 for the others: where most
 * steps are wrong, a price on each of them would be a reward for answering at once.
 */
export function toolChainTask(chain: Chain): RolloutTask {
  const value = chainValue(chain);
  return {
    id: writeChain(chain),
    open() {
      let left = chain;
      let subgoal: Subgoal = "?";
      let steps = 0;
      const observe = (): RolloutObservation => {
        const content = writeObservation(subgoal, left);
        // The policy does not see how many steps remain; a value may know.
        const stateKey = `${left.operators.length} left in ${chain.operators.length + 1 - steps} steps`;
        return { messages: [{ role: "user", content }], anchor: content, stateKey };
      };
      return {
        observation: observe(),
        step(text): RolloutTransition {
          const action = readAction(text);
          steps++;
          if (action?.switches === true) subgoal = action.subgoal;
          const answer = action?.answer;
          const at = action?.call === undefined ? -1 : placeOf(action.call, left);
          const right = answer === undefined ? at >= 0 && isRightAt(left, at) : isAnswer(answer, left);
          if (at >= 0) left = reduceAt(left, at, calculate(callAt(left, at))!);
          const terminated = answer !== undefined;
          const truncated = !terminated && steps > chain.operators.length;
          return {
            observation: observe(),
            reward: answer === value ? 1 : 0,
            verdict: right ? 1 : 0,
            kind: terminated ? "answer" : "tool",
            hierarchy: hierarchyOf(text, action),
            terminated,
            truncated,
          };
        },
      };
    },
  };
}

/** The first character is the switch, the second the subgoal. */
function hierarchyOf(text: string, action: ChainAction | undefined): Hierarchy {
  if (action === undefined) return { switched: false, spans: [{ start: 0, end: text.length, value: "action" }] };
  return {
    switched: action.switches,
    subgoal: action.subgoal,
    spans: [
      { start: 0, end: 1, value: "switch" },
      { start: 1, end: 2, value: "subgoal" },
      { start: 2, end: text.length, value: "action" },
    ],
  };
}

function isAnswer(answer: number, { numbers, operators }: Chain): boolean {
  return operators.length === 0 && numbers[0] === answer;
}

/** Where a call stands in what is left, where it is right before where it is wrong; −1 where it does not, or has no result. */
function placeOf(call: Call, chain: Chain): number {
  if (calculate(call) === undefined) return -1;
  const places = chain.operators.flatMap((operator, at) => {
    const { left, right } = callAt(chain, at);
    return left === call.left && operator === call.operator && right === call.right ? [at] : [];
  });
  return places.find((at) => isRightAt(chain, at)) ?? places[0] ?? -1;
}
