import type { Environment } from "@afterstate/core";

/** Nine cells, row by row: 1 for X, −1 for O, 0 for empty. X begins. */
export type Board = readonly number[];

const LINES = [
  [0, 1, 2],
  [3, 4, 5],
  [6, 7, 8],
  [0, 3, 6],
  [1, 4, 7],
  [2, 5, 8],
  [0, 4, 8],
  [2, 4, 6],
] as const;
export const EMPTY_BOARD: Board = [0, 0, 0, 0, 0, 0, 0, 0, 0];

export function winnerOf(board: Board): number {
  for (const [a, b, c] of LINES) {
    if (board[a] !== 0 && board[a] === board[b] && board[a] === board[c]) return board[a]!;
  }
  return 0;
}

export function sideToMove(board: Board): 1 | -1 {
  return board.reduce((sum, cell) => sum + cell, 0) === 0 ? 1 : -1;
}

export function emptyCells(board: Board): readonly number[] {
  return board.flatMap((cell, index) => (cell === 0 ? [index] : []));
}

export function play(board: Board, cell: number): Board {
  return board.with(cell, sideToMove(board));
}

export function isOver(board: Board): boolean {
  return winnerOf(board) !== 0 || !board.includes(0);
}

/** Tic-tac-toe from a board on; an action is a cell, the return 1 when X wins, −1 when O wins, 0 for a draw. */
export function ticTacToe(start: Board): Environment<Board, number> {
  const cells = [...start];
  let [side, empty]: [number, number] = [sideToMove(start), emptyCells(start).length];
  const wins = (cell: number) =>
    LINES.some(
      ([a, b, c]) =>
        (a === cell || b === cell || c === cell) && cells[a] === side && cells[b] === side && cells[c] === side,
    );
  return {
    reset() {
      for (let cell = 0; cell < 9; cell++) cells[cell] = start[cell]!;
      [side, empty] = [sideToMove(start), emptyCells(start).length];
      return cells;
    },
    step(cell) {
      cells[cell] = side;
      empty--;
      const reward = wins(cell) ? side : 0;
      side = -side;
      return { observation: cells, reward, terminated: reward !== 0 || empty === 0, truncated: false };
    },
    legalActions() {
      const legal: number[] = [];
      for (let cell = 0; cell < 9; cell++) if (cells[cell] === 0) legal.push(cell);
      return legal;
    },
    fork: () => ticTacToe(cells),
  };
}

/** The return from every reachable board when both sides play best, by exhaustive minimax. Keys are the boards' cells, joined. */
export function solveTicTacToe(): ReadonlyMap<string, number> {
  const values = new Map<string, number>();
  const solve = (board: Board): number => {
    const key = board.join();
    let value = values.get(key);
    if (value === undefined) {
      const side = sideToMove(board);
      value = isOver(board)
        ? winnerOf(board)
        : side * Math.max(...emptyCells(board).map((cell) => side * solve(play(board, cell))));
      values.set(key, value);
    }
    return value;
  };
  solve(EMPTY_BOARD);
  return values;
}
