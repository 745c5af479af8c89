import { createRandom } from "@afterstate/core";
import type { Blas } from "../tensor/blas.js";

/** How many rows and columns of a product go through BLAS at a time. */
export interface RowBlock {
  readonly rows: number;
  readonly columns: number;
}

/** The most multiplications that OpenBLAS' kernels for small matrices take. They read both matrices as they lie, and each sum is a row's own. */
const SMALL_MATRIX = 1_000_000;
const MOST_ROWS = 16;
const COLUMNS = [64, 32];

/** Columns that are left over are added up otherwise: products of other numbers of columns are not done this way. */
const COLUMN_STEP = 4;

/**
 * Says of products [m, k] · [k, n] whether BLAS computes some rows at a time to the same bits as each of them alone, and how. It is tried once
 * for each length of a row: libraries and their versions differ, and none of them promises it.
 */
export function openRowsTogether(blas: Blas): (n: number, k: number) => RowBlock | undefined {
  const known = new Map<number, RowBlock | undefined>();
  return (n, k) => {
    if (n % COLUMN_STEP !== 0) return undefined;
    if (!known.has(k))
      known.set(
        k,
        blocksOf(k).find((block) => keepsRowsApart(blas, block, k)),
      );
    return known.get(k);
  };
}

/** Blocks that are small enough, the best first. */
function blocksOf(k: number): readonly RowBlock[] {
  return COLUMNS.flatMap((columns) => {
    const rows = Math.min(MOST_ROWS, Math.floor(SMALL_MATRIX / (columns * k)));
    return rows < 4 ? [] : [{ rows, columns }];
  }).sort((a, b) => b.rows - a.rows);
}

/** Whether every row comes out the same in every number of rows and at every place, in a whole block of columns and in a part of one. */
function keepsRowsApart(blas: Blas, { rows, columns }: RowBlock, k: number): boolean {
  const random = createRandom(k);
  const drawn = (size: number) => Float32Array.from({ length: size }, () => random.next() - 0.5);
  const [a, b, c] = [drawn(rows * k), drawn(columns * k), new Float32Array(rows * columns)];
  const [atA, atB, atC] = [blas.addressOf(a), blas.addressOf(b), blas.addressOf(c)];
  return [columns, columns - COLUMN_STEP, COLUMN_STEP].every((n) => {
    const product = (first: number, m: number): Float32Array => {
      blas.gemm(0, 1, m, n, k, 1, atA + first * k * 4, k, atB, k, 0, atC, n);
      return c.slice(0, m * n);
    };
    const alone = Array.from({ length: rows }, (_, row) => product(row, 1));
    return alone.every((_, m) => {
      const together = product(0, m + 1);
      return together.every((value, at) => value === alone[Math.floor(at / n)]![at % n]);
    });
  });
}
