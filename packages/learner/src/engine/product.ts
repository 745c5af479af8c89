import type { Call } from "./kernel-threads.js";
import type { Address } from "./kernels.js";
import type { RowBlock } from "./rows-together.js";

/** A matrix in memory, row-major: see `Machine.matrix`. */
export interface Matrix {
  /** Starts at its first element. */
  readonly data: Float32Array;
  /** Where it lies in the arena; absent when it lies elsewhere, which only BLAS can read. */
  readonly address?: Address;
  /** Where it lies in the process; absent without BLAS. */
  readonly pointer?: number;
}

/** One product: C = α op(A) · op(B) + β C. C [m, n], op(A) [m, k], op(B) [k, n]; ld: floats from one stored row to the next. */
export interface Product {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly a: Address;
  readonly lda: number;
  readonly b: Address | Matrix;
  readonly ldb: number;
  readonly c: Address;
  readonly ldc: number;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  /** Default 1. */
  readonly alpha?: number;
  /** Default 0: C is overwritten. */
  readonly beta?: number;
  /** Where B starts within its matrix, in floats. Default 0. */
  readonly offsetB?: number;
  /**
   * Each row as if it were alone: its bits do not depend on how many rows there are and what is in them. For A as it lies, B transposed.
   * Where BLAS can do so (see `openRowsTogether`) some rows go through it at a time; else, as it adds up in another order for one row than for
   * twelve, one by one through its matrix-vector product. Either way a block of columns at a time that stays in the caches.
   */
  readonly rowsAlone?: boolean;
}

/** Products below this many multiplications are done before BLAS is reached. */
const SMALL_PRODUCT = 16 ** 3;
/** Multiplications of a part that is worth a thread. */
const PART = 2 ** 19;
/** The same for one row, which reads each weight for a single multiplication. */
const ROW_PART = 2 ** 16;
/** Parts begin at multiples of it: whole tiles of the product. */
const TILE = 16;
/** Columns of rows alone that are done at a time. Parts begin at multiples of it, so that no bit depends on the number of threads. */
export const COLUMNS_ALONE = 64;

/** In how many parts a product is worth being done. */
export function partsOf({ m, n, k, rowsAlone }: Product): number {
  const parts = Math.floor(Math.max((m * n * k) / PART, m === 1 || rowsAlone === true ? (n * k) / ROW_PART : 0));
  const most = rowsAlone === true ? n / COLUMNS_ALONE : Math.max(m, n) / TILE;
  return Math.max(1, Math.min(parts, Math.ceil(most)));
}

/** Parts of a product, by rows or columns of C, whichever are more; by columns for rows alone. */
export function splitProduct(product: Product, parts: number): readonly Product[] {
  const { m, n, a, lda, ldb, c, ldc, transposeA, transposeB, offsetB = 0, rowsAlone = false } = product;
  const byRows = m >= n && !rowsAlone;
  const count = byRows ? m : n;
  const tile = rowsAlone ? COLUMNS_ALONE : TILE;
  const size = Math.ceil(count / parts / tile) * tile;
  return Array.from({ length: Math.ceil(count / size) }, (_, part) => {
    const from = part * size;
    const some = Math.min(size, count - from);
    return byRows
      ? { ...product, m: some, a: a + from * (transposeA === true ? 1 : lda) * 4, c: c + from * ldc * 4 }
      : { ...product, n: some, offsetB: offsetB + from * (transposeB === true ? ldb : 1), c: c + from * 4 };
  });
}

/** The places of what multiplies among the callables. */
export interface Multipliers {
  readonly sgemm: number;
  readonly multiplyRows: number;
  /** Of BLAS. */
  readonly gemm: number;
  readonly gemv: number;
  readonly gemvRows: number;
  readonly gemmRows: number;
}

/** A product as a call of the engine's own kernels. */
export function encodeOnKernel(product: Product, { sgemm, multiplyRows }: Multipliers): Call {
  const { m, n, k, a, lda, b, ldb, c, ldc, transposeA, transposeB, alpha = 1, beta = 0, offsetB = 0 } = product;
  const address = (typeof b === "number" ? b : b.address!) + offsetB * 4;
  if (product.rowsAlone === true) return [multiplyRows, m, n, k, alpha, a, lda, address, ldb, beta, c, ldc];
  return [
    sgemm,
    Number(transposeA === true),
    Number(transposeB === true),
    m,
    n,
    k,
    alpha,
    a,
    lda,
    address,
    ldb,
    beta,
    c,
    ldc,
  ];
}

/**
 * A product as a call of BLAS, or of the engine's own kernels where it is small.
 *
 * @param base where the arena lies in the process.
 * @param together how rows alone can be done some at a time; undefined where they cannot.
 */
export function encodeOnBlas(
  product: Product,
  base: number,
  multipliers: Multipliers,
  together: RowBlock | undefined,
): Call {
  const { m, n, k, lda, b, ldb, ldc, transposeA = false, transposeB = false, alpha = 1, beta = 0 } = product;
  const inArena = typeof b === "number" || b.address !== undefined;
  // Not for rows alone: a part of a product would be small where the whole is not.
  const small = m * n * k < SMALL_PRODUCT && inArena && product.rowsAlone !== true;
  if (k === 0 || small) return encodeOnKernel(product, multipliers);
  const { gemm, gemv, gemvRows, gemmRows } = multipliers;
  const [atA, atC] = [base + product.a, base + product.c];
  const atB = (typeof b === "number" ? base + b : b.pointer!) + (product.offsetB ?? 0) * 4;
  if (product.rowsAlone === true && together !== undefined) {
    return [gemmRows, together.rows, together.columns, m, n, k, alpha, atA, lda, atB, ldb, beta, atC, ldc];
  }
  if (product.rowsAlone === true) {
    return [gemvRows, COLUMNS_ALONE, m, n, k, alpha, atA, lda, atB, ldb, beta, atC, ldc];
  }
  if (m === 1 && transposeB && !transposeA) return [gemv, n, k, alpha, atB, ldb, atA, beta, atC];
  return [gemm, Number(transposeA), Number(transposeB), m, n, k, alpha, atA, lda, atB, ldb, beta, atC, ldc];
}
