import type { Environment } from "@afterstate/core";
import { createRandom } from "@afterstate/core";
import { describe, expect, it } from "vitest";
import { type MctsOptions, mcts } from "./mcts.js";
import {
  type Board,
  EMPTY_BOARD,
  emptyCells,
  isOver,
  play,
  sideToMove,
  solveTicTacToe,
  ticTacToe,
  winnerOf,
} from "./testing/tic-tac-toe.js";

/** Two steps, each 0 or 1; the return is by the pair. */
function pairs(returns: Readonly<Record<string, number>>): Environment<string, number> {
  const at = (start: string): Environment<string, number> => {
    let path = start;
    return {
      reset: () => (path = ""),
      step(action) {
        path += action;
        return { observation: path, reward: returns[path] ?? 0, terminated: path.length === 2, truncated: false };
      },
      legalActions: () => (path.length < 2 ? [0, 1] : []),
      fork: () => at(path),
    };
  };
  return at("");
}

describe("mcts", () => {
  // 0 leads to 0.1 or 0.9, 1 to 0.6 or 0.5
  const environment = pairs({ "00": 0.1, "01": 0.9, "10": 0.6, "11": 0.5 });

  it("finds the best action and the best episode", async () => {
    const found = await mcts({ environment, simulations: 400, seed: 1 });
    expect(found).toMatchObject({
      action: 0,
      simulations: 400,
      isProven: false,
      bestEpisode: { actions: [0, 1], return: 0.9 },
    });
    expect(found.actions.reduce((sum, { visits }) => sum + visits, 0)).toBe(400);
    expect(found.value).toBeGreaterThan(0.7);
  });

  it("finds the best reply to an adversary", async () => {
    // The adversary answers 0 by 0.1 and 1 by 0.5.
    const sideAt = (depth: number) => (depth === 0 ? 1 : -1);
    const found = await mcts({ environment, simulations: 400, seed: 1, sideAt });
    expect(found.action).toBe(1);
    expect(found).not.toHaveProperty("bestEpisode");
    const proven = await mcts({ environment, simulations: 400, seed: 1, sideAt, returnRange: [0, 1] });
    expect(proven).toMatchObject({ action: 1, value: 0.5, isProven: true });
    expect(proven.simulations).toBeLessThan(20);
  });

  it("adds up the rewards along the way", async () => {
    // 0: 0.5 and then 0 or 0.2; 1: 0 and then 0.6 or 0.6
    const found = await mcts({
      environment: pairs({ "0": 0.5, "00": 0, "01": 0.2, "10": 0.6, "11": 0.6 }),
      simulations: 50,
      seed: 3,
      returnRange: [0, 1],
    });
    expect(found).toMatchObject({
      action: 0,
      value: 0.7,
      isProven: true,
      bestEpisode: { actions: [0, 1], return: 0.7 },
    });
  });

  it("does the same for the same seed, and the same with an asynchronous environment", async () => {
    const expansions = async (world: Environment<string, number>, seed: number) => {
      const seen: unknown[] = [];
      const found = await mcts({
        environment: world,
        simulations: 60,
        seed,
        onExpand: (expansion) => seen.push(expansion),
      });
      return { seen, found };
    };
    const later = (inner: Environment<string, number>): Environment<string, number> => ({
      reset: (seed) => inner.reset(seed),
      step: async (action) => inner.step(action),
      legalActions: () => inner.legalActions(),
      fork: () => later(inner.fork()),
    });
    const first = await expansions(environment, 5);
    expect(await expansions(environment, 5)).toEqual(first);
    expect(await expansions(later(environment), 5)).toEqual(first);
    expect((await expansions(environment, 6)).seen).not.toEqual(first.seen);
  });

  it("tells each expansion once, with the way to it", async () => {
    const paths: string[] = [];
    await mcts({
      environment,
      simulations: 100,
      seed: 2,
      onExpand: ({ path, visits }) => paths.push(`${path.join("")}:${visits}`),
    });
    expect(paths.toSorted()).toEqual(["0:1", "00:1", "01:1", "10:1", "11:1", "1:1"].toSorted());
  });

  it("stops on an abort with what it has found, also in the middle of synchronous steps", async () => {
    const controller = new AbortController();
    setImmediate(() => controller.abort());
    const found = await mcts({
      environment: ticTacToe(EMPTY_BOARD),
      simulations: 1e9,
      seed: 1,
      sideAt,
      signal: controller.signal,
    });
    expect(found.simulations).toBeLessThan(10_000);
    expect(found.action).toBeTypeOf("number");
    const never = await mcts({ environment, simulations: 10, seed: 1, signal: AbortSignal.abort() });
    expect(never).toEqual({ value: 0, isProven: false, simulations: 0, actions: [] });
  });

  it("cuts episodes that never end", async () => {
    const endless: Environment<number, number> = {
      reset: () => 0,
      step: () => ({ observation: 0, reward: 0.01, terminated: false, truncated: false }),
      legalActions: () => [0, 1],
      fork: () => endless,
    };
    const found = await mcts({ environment: endless, simulations: 20, seed: 1, maxDepth: 30 });
    expect(found.bestEpisode?.actions).toHaveLength(30);
  });

  it("has no action where none is legal, and refuses a budget that is none", async () => {
    const over = ticTacToe([1, 1, 1, -1, -1, 0, 0, 0, 0]);
    const nothing: Environment<Board, number> = { ...over, legalActions: () => [], fork: () => nothing };
    expect(await mcts({ environment: nothing, simulations: 10, seed: 1 })).not.toHaveProperty("action");
    await expect(mcts({ environment, simulations: 0, seed: 1 })).rejects.toMatchObject({
      code: "planner/invalid-option",
    });
  });
});

const sideAt = (depth: number) => (depth % 2 === 0 ? 1 : -1);
const searchFrom = (board: Board, seed: number, more: Partial<MctsOptions<Board, number>>) =>
  mcts({
    environment: ticTacToe(board),
    seed,
    simulations: 2_000,
    sideAt: (depth) => (sideToMove(board) * sideAt(depth)) as 1 | -1,
    ...more,
  });

describe("mcts on tic-tac-toe", () => {
  const values = solveTicTacToe();
  const boards = [...values.keys()].map((key) => key.split(",").map(Number));
  const open = boards.filter((board) => !isOver(board));
  const bestCells = (board: Board) =>
    emptyCells(board).filter((cell) => values.get(play(board, cell).join()) === values.get(board.join()));
  const contested = open.filter((board) => bestCells(board).length < emptyCells(board).length);

  const shareOptimal = async (sample: readonly Board[], more: Partial<MctsOptions<Board, number>>) => {
    let optimal = 0;
    for (const [index, board] of sample.entries()) {
      const { action } = await searchFrom(board, index, more);
      if (bestCells(board).includes(action!)) optimal++;
    }
    return optimal / sample.length;
  };
  const sampleOf = (size: number) => {
    const random = createRandom(24);
    const rest = [...contested];
    return Array.from({ length: size }, () => rest.splice(random.integer(rest.length), 1)[0]!);
  };

  it("is measured against a game whose positions are known", () => {
    expect(values.get(EMPTY_BOARD.join())).toBe(0);
    expect([boards.length, open.length, contested.length]).toEqual([5_478, 4_520, 3_191]);
  });

  it("chooses a minimax-optimal move in at least 99 % of the contested positions", async () => {
    expect(await shareOptimal(sampleOf(1_000), {})).toBeGreaterThanOrEqual(0.99);
  });

  it("chooses an optimal move in every contested position when it backs up proven outcomes", async () => {
    expect(await shareOptimal(contested, { returnRange: [-1, 1] })).toBe(1);
  });

  it("owes part of that to its rollouts: with 200 simulations they reach 99 %, and a constant in their place does not", async () => {
    const simulations = 200;
    expect(await shareOptimal(contested, { simulations })).toBeGreaterThanOrEqual(0.99);
    for (const constant of [0, 1]) {
      expect(await shareOptimal(contested, { simulations, evaluate: () => constant })).toBeLessThan(0.99);
    }
  });

  it("loses no game against minimax", async () => {
    const random = createRandom(7);
    for (let game = 0; game < 60; game++) {
      const own = game % 2 === 0 ? 1 : -1;
      let board = EMPTY_BOARD;
      while (!isOver(board)) {
        const cell =
          sideToMove(board) === own
            ? (await searchFrom(board, game, { returnRange: [-1, 1] })).action!
            : random.pick(bestCells(board));
        board = play(board, cell);
      }
      expect(winnerOf(board)).not.toBe(-own);
    }
  }, 30_000);
});
