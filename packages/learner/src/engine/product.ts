import type { Call } from "./kernel-threads.js";
import type { Address } from "./kernels.js";

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
}

/** Products below this many multiplications are done before BLAS is reached. */
const SMALL_PRODUCT = 16 ** 3;
/** Multiplications of a part that is worth a thread. */
const PART = 2 ** 19;
/** The same for one row, which reads each weight for a single multiplication. */
const ROW_PART = 2 ** 16;
/** Parts begin at multiples of it: whole tiles of the product. */
const TILE = 16;

/** In how many parts a product is worth being done. */
export function partsOf({ m, n, k }: Product): number {
  const size = m * n * k;
  const parts = Math.floor(size / (m === 1 ? ROW_PART : PART));
  return Math.max(1, Math.min(parts, Math.ceil(Math.max(m, n) / TILE)));
}

/** Parts of a product, by rows or columns of C, whichever are more. */
export function splitProduct(product: Product, parts: number): readonly Product[] {
  const { m, n, a, lda, ldb, c, ldc, transposeA, transposeB, offsetB = 0 } = product;
  const byRows = m >= n;
  const count = byRows ? m : n;
  const size = Math.ceil(count / parts / TILE) * TILE;
  return Array.from({ length: Math.ceil(count / size) }, (_, part) => {
    const from = part * size;
    const some = Math.min(size, count - from);
    return byRows
      ? { ...product, m: some, a: a + from * (transposeA === true ? 1 : lda) * 4, c: c + from * ldc * 4 }
      : { ...product, n: some, offsetB: offsetB + from * (transposeB === true ? ldb : 1), c: c + from * 4 };
  });
}

/** A product as a call of the engine's own kernel. @param sgemm its place among the callables. */
export function encodeOnKernel(product: Product, sgemm: number): Call {
  const { m, n, k, a, lda, b, ldb, c, ldc, transposeA, transposeB, alpha = 1, beta = 0, offsetB = 0 } = product;
  const address = (typeof b === "number" ? b : b.address!) + offsetB * 4;
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

/** A product as a call of BLAS, or of the engine's own kernel where it is small. @param base where the arena lies in the process. */
export function encodeOnBlas(
  product: Product,
  base: number,
  { gemm, gemv, sgemm }: { readonly gemm: number; readonly gemv: number; readonly sgemm: number },
): Call {
  const { m, n, k, lda, b, ldb, ldc, transposeA = false, transposeB = false, alpha = 1, beta = 0 } = product;
  const inArena = typeof b === "number" || b.address !== undefined;
  if (k === 0 || (m * n * k < SMALL_PRODUCT && inArena)) return encodeOnKernel(product, sgemm);
  const [atA, atC] = [base + product.a, base + product.c];
  const atB = (typeof b === "number" ? base + b : b.pointer!) + (product.offsetB ?? 0) * 4;
  if (m === 1 && transposeB && !transposeA) return [gemv, n, k, alpha, atB, ldb, atA, beta, atC];
  return [gemm, Number(transposeA), Number(transposeB), m, n, k, alpha, atA, lda, atB, ldb, beta, atC, ldc];
}
