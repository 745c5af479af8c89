import { readFileSync } from "node:fs";
import { createRandom, type PlanExpansion } from "@afterstate/core";
import { describe, expect, it } from "vitest";
import { createMctsPlanner } from "../mcts-planner.js";
import { evaluateFraction } from "../testing/fraction-evaluator.js";
import { combine, type Expression, expressionText, numberExpression } from "./expression.js";
import { numberGame } from "./number-game.js";

const SIMULATIONS = 5_000;
const planner = createMctsPlanner({ domains: [numberGame()], simulations: SIMULATIONS });
const planFor = (goal: string, seed = 1) =>
  planner.plan({ goal, seed, observation: { messages: [] }, onExpand: () => {}, signal: new AbortController().signal });

/** Whether the plan's text is an expression over exactly these numbers with this value, judged by other code. */
const isRight = (text: string | undefined, numbers: readonly number[], target: number): boolean => {
  const expression = /^Plan: (\S+)$/.exec(text ?? "")?.[1];
  if (expression === undefined) return false;
  const { value, numbers: used } = evaluateFraction(expression);
  return value[0] === BigInt(target) * value[1] && used.sort().join() === [...numbers].sort().join();
};

describe("the goal of the number game", () => {
  it.each([
    ["Make 24 from 4 7 8 8", "make 24 from 4 7 8 8"],
    ["Can you make 24 from 4, 7, 8 and 8?", "make 24 from 4 7 8 8"],
    ["please get -3 using the numbers 1,2,3,13.", "make -3 from 1 2 3 13"],
    ["Use 1, 2, 3 and 4 to make 10.", "make 10 from 1 2 3 4"],
    ["Let's play the game of 24: 4 7 8 8", "make 24 from 4 7 8 8"],
    ["make 24 from 4 7 8 8", "make 24 from 4 7 8 8"],
  ])("is read in: %s", (text, goal) => expect(numberGame().goalOf(text)).toBe(goal));

  it.each([
    "Make 24 from 4 7 8",
    "Make 24 from 4 7 8 8 9",
    "Make 24 from 4, 7, 8, 8 and 9",
    "Make 24 from 4 7 8 14",
    "Make 24 from 0 7 8 8",
    "Make 24 from 4 7 8 8.5",
    "Make 24 from 4 7 8 123",
    "Make 24.5 from 4 7 8 8",
    "make me a sandwich from 4 7 8 8",
    "What is 4 + 7 * 8?",
    "",
  ])("is not read in: %s", (text) => expect(numberGame().goalOf(text)).toBeUndefined());
});

describe("an expression as text", () => {
  const [one, two, three] = [1, 2, 3].map(numberExpression) as [Expression, Expression, Expression];
  it.each([
    ["1-(2-3)", combine("-", one, combine("-", two, three)!)],
    ["1-2-3", combine("-", combine("-", one, two)!, three)],
    ["1+2-3", combine("+", one, combine("-", two, three)!)],
    ["(1+2)*3", combine("*", combine("+", one, two)!, three)],
    ["1/(2/3)", combine("/", one, combine("/", two, three)!)],
    ["1/(2*3)", combine("/", one, combine("*", two, three)!)],
    ["1*2/3", combine("*", one, combine("/", two, three)!)],
    ["3-1*2", combine("-", three, combine("*", one, two)!)],
  ])("%s has the parentheses that it needs", (text, expression) => expect(expressionText(expression!)).toBe(text));

  it("has the value of the expression, whatever the expression", () => {
    const random = createRandom(3);
    for (let round = 0; round < 2_000; round++) {
      const parts = [1, 2, 3, 4].map(() => numberExpression(1 + random.integer(13)));
      while (parts.length > 1) {
        const [left, right] = [0, 1].map(() => parts.splice(random.integer(parts.length), 1)[0]!) as [
          Expression,
          Expression,
        ];
        parts.push(combine(random.pick(["+", "-", "*", "/"] as const), left, right) ?? left);
      }
      const { numerator, denominator } = parts[0]!;
      const { value } = evaluateFraction(expressionText(parts[0]!));
      expect(value[0] * BigInt(denominator)).toBe(BigInt(numerator) * value[1]);
    }
  });

  it("cannot divide by 0", () => {
    const zero = combine("-", numberExpression(2), numberExpression(2))!;
    expect(combine("/", numberExpression(1), zero)).toBeUndefined();
  });
});

describe("planning in the number game", () => {
  it("solves the hundred puzzles ranked 901 to 1000 by difficulty", async () => {
    const rows = readFileSync(new URL("../../data/game24/24.csv", import.meta.url), "utf8")
      .trim()
      .split("\n")
      .slice(1);
    const puzzles = rows.map((row) => row.split(",")).filter(([rank]) => Number(rank) > 900 && Number(rank) <= 1000);
    expect(puzzles).toHaveLength(100);
    let solved = 0;
    for (const [rank, puzzle] of puzzles) {
      const plan = await planFor(`make 24 from ${puzzle}`, Number(rank));
      expect(plan?.simulations).toBeLessThanOrEqual(SIMULATIONS);
      if (isRight(plan?.text, puzzle!.split(" ").map(Number), 24)) solved++;
    }
    expect(solved).toBe(100);
  });

  it("solves few of them with as many simulations as there are first moves, so that the search is what solves them", async () => {
    const hasty = createMctsPlanner({ domains: [numberGame()], simulations: 36 });
    let solved = 0;
    for (let seed = 0; seed < 40; seed++) {
      const request = {
        goal: "make 24 from 3 3 8 8",
        seed,
        observation: { messages: [] },
        signal: new AbortController().signal,
      };
      if ((await hasty.plan({ ...request, onExpand: () => {} })) !== undefined) solved++;
    }
    expect(solved).toBeLessThan(10);
  });

  it("has the plan's steps, value and text agree", async () => {
    // 8 / (3 − 8/3) = 8 / (1/3) = 24 is the only way
    const plan = await planFor("make 24 from 3 3 8 8");
    expect(plan).toMatchObject({
      goal: "make 24 from 3 3 8 8",
      steps: ["8/3", "3-8/3", "8/(3-8/3)"],
      text: "Plan: 8/(3-8/3)",
      value: 1,
    });
  });

  it("reaches targets other than 24, also negative ones", async () => {
    for (const [numbers, target] of [
      [[1, 2, 3, 4], 10],
      [[13, 13, 1, 1], -25],
      [[1, 1, 1, 1], 0],
      [[13, 13, 13, 13], 28_561], // 13⁴
    ] as const) {
      expect(isRight((await planFor(`make ${target} from ${numbers.join(" ")}`))?.text, numbers, target)).toBe(true);
    }
  });

  it("has no plan where there is none", async () => {
    expect(await planFor("make 24 from 1 1 1 1")).toBeUndefined();
    expect(await planFor("make 24 from 13 13 13 13")).toBeUndefined();
  });

  it("plans the same for the same seed, and tells each expansion", async () => {
    const run = async (seed: number) => {
      const expansions: PlanExpansion[] = [];
      const plan = await planner.plan({
        goal: "make 24 from 4 7 8 8",
        seed,
        observation: { messages: [] },
        onExpand: (expansion) => expansions.push(expansion),
        signal: new AbortController().signal,
      });
      return { plan, expansions };
    };
    const first = await run(1);
    expect(await run(1)).toEqual(first);
    expect(first.expansions.length).toBeGreaterThan(0);
    expect(first.expansions[0]?.path).toHaveLength(1);
  });
});
