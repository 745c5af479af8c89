import { createRequire } from "node:module";

/** Single-precision general matrix multiply of the machine's own BLAS: C = op(A) · op(B), row-major. */
export interface Blas {
  /** The library that was found, e.g. `libopenblas.so.0`. */
  readonly name: string;
  /**
   * @param m rows of op(A) and C. @param n columns of op(B) and C. @param k columns of op(A) = rows of op(B).
   * A, B and C are views of one memory; C must not overlap A or B.
   */
  sgemm(
    transposeA: boolean,
    transposeB: boolean,
    m: number,
    n: number,
    k: number,
    a: Float32Array,
    b: Float32Array,
    c: Float32Array,
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
 * @param threads how many threads one multiplication may use (OpenBLAS only).
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
      const cblas = library.func(
        "void cblas_sgemm(int, int, int, int, int, int, float, void*, int, void*, int, float, void*, int)",
      );
      try {
        library.func("void openblas_set_num_threads(int)")(threads);
      } catch {
        // Accelerate chooses its own number of threads.
      }
      return {
        name: name.slice(name.lastIndexOf("/") + 1),
        sgemm(transposeA, transposeB, m, n, k, a, b, c) {
          const lda = transposeA ? m : k;
          const ldb = transposeB ? k : n;
          cblas(
            ROW_MAJOR,
            transposeA ? TRANSPOSE : NO_TRANSPOSE,
            transposeB ? TRANSPOSE : NO_TRANSPOSE,
            m,
            n,
            k,
            1,
            a,
            lda,
            b,
            ldb,
            0,
            c,
            n,
          );
        },
      };
    } catch {
      // Not on this machine: the next name.
    }
  }
  return undefined;
}
