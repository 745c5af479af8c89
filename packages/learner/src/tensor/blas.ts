import { createRequire } from "node:module";

/** Single-precision products of the machine's own BLAS, row-major. Operands start where their views start; ld: floats from row to row. */
export interface Blas {
  /** The library that was found, e.g. `libopenblas.so.0`. */
  readonly name: string;
  /** Threads of one product from now on (OpenBLAS only). */
  setThreads(threads: number): void;
  /**
   * C = α op(A) · op(B) + β C.
   *
   * @param m rows of op(A) and C. @param n columns of op(B) and C. @param k columns of op(A) = rows of op(B).
   * C must not overlap A or B.
   */
  sgemm(
    transposeA: boolean,
    transposeB: boolean,
    m: number,
    n: number,
    k: number,
    alpha: number,
    a: Float32Array,
    lda: number,
    b: Float32Array,
    ldb: number,
    beta: number,
    c: Float32Array,
    ldc: number,
  ): void;
  /** y = α A x + β y, A [m, n]. */
  sgemv(
    m: number,
    n: number,
    alpha: number,
    a: Float32Array,
    lda: number,
    x: Float32Array,
    beta: number,
    y: Float32Array,
  ): void;
}

const LIBRARIES: Readonly<Record<string, readonly string[]>> = {
  linux: ["libopenblas.so.0", "libopenblas.so"],
  darwin: ["/System/Library/Frameworks/Accelerate.framework/Accelerate", "libopenblas.dylib"],
  win32: ["libopenblas.dll", "openblas.dll"],
};

const ROW_MAJOR = 101;
const NO_TRANSPOSE = 111;
const TRANSPOSE = 112;

/**
 * OpenBLAS or Accelerate, called through koffi without a copy; undefined when the machine has neither.
 * `AFTERSTATE_BLAS=off` leaves it out.
 *
 * @param threads how many threads one product may use (OpenBLAS only).
 */
export function loadBlas(threads: number): Blas | undefined {
  if (process.env.AFTERSTATE_BLAS === "off") return undefined;
  const require = createRequire(import.meta.url);
  let koffi: typeof import("koffi");
  try {
    koffi = require("koffi");
  } catch {
    return undefined;
  }
  for (const name of LIBRARIES[process.platform] ?? []) {
    try {
      const library = koffi.load(name);
      const gemm = library.func(
        "void cblas_sgemm(int, int, int, int, int, int, float, void*, int, void*, int, float, void*, int)",
      );
      const gemv = library.func(
        "void cblas_sgemv(int, int, int, int, float, void*, int, void*, int, float, void*, int)",
      );
      const blas: Blas = {
        name: name.slice(name.lastIndexOf("/") + 1),
        setThreads(threads) {
          try {
            library.func("void openblas_set_num_threads(int)")(threads);
          } catch {
            // Accelerate chooses its own number of threads.
          }
        },
        sgemm(transposeA, transposeB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc) {
          const [opA, opB] = [transposeA ? TRANSPOSE : NO_TRANSPOSE, transposeB ? TRANSPOSE : NO_TRANSPOSE];
          gemm(ROW_MAJOR, opA, opB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
        },
        sgemv(m, n, alpha, a, lda, x, beta, y) {
          gemv(ROW_MAJOR, NO_TRANSPOSE, m, n, alpha, a, lda, x, 1, beta, y, 1);
        },
      };
      blas.setThreads(threads);
      return blas;
    } catch {
      // Not on this machine: the next name.
    }
  }
  return undefined;
}
