import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

/** Single-precision products of the machine's own BLAS. */
export interface Blas extends BlasCalls {
  /** The library that was found, e.g. `libopenblas.so.0`. */
  readonly name: string;
  /** C = op(A) · op(B), dense and row-major; C [m, n] must not overlap A or B. */
  multiply(
    transposeA: boolean,
    transposeB: boolean,
    [m, n, k]: readonly [number, number, number],
    a: Float32Array,
    b: Float32Array,
    c: Float32Array,
  ): void;
  /** Where an array lies in the process's memory: what {@link BlasCalls} take. It stays there as long as the array lives. */
  addressOf(data: Float32Array): number;
  /** What another thread needs to call {@link bindBlas}: the path of koffi, and the library. */
  readonly origin: readonly [koffi: string, library: string];
}

/** The library's functions by plain numbers, matrices by their addresses in the process; ld: floats from one stored row to the next. */
export interface BlasCalls {
  /** C = α op(A) · op(B) + β C: transposeA, transposeB (0 or 1), m, n, k, α, A, lda, B, ldb, β, C, ldc. */
  readonly gemm: (...numbers: number[]) => void;
  /** y = α A x + β y: m, n, α, A, lda, x, β, y. */
  readonly gemv: (...numbers: number[]) => void;
  /** C = α A · Bᵀ + β C, each row by itself, a block of columns at a time: columns of a block, m, n, k, α, A, lda, B, ldb, β, C, ldc. */
  readonly gemvRows: (...numbers: number[]) => void;
  /** The same with some rows at a time, that many at most: rows, columns of a block, m, n, k, α, A, lda, B, ldb, β, C, ldc. */
  readonly gemmRows: (...numbers: number[]) => void;
}

const LIBRARIES: Readonly<Record<string, readonly string[]>> = {
  linux: ["libopenblas.so.0", "libopenblas.so"],
  darwin: ["/System/Library/Frameworks/Accelerate.framework/Accelerate", "libopenblas.dylib"],
  win32: ["libopenblas.dll", "openblas.dll"],
};

/**
 * Binds a library's functions. It uses nothing outside of itself, as its source text is sent to threads.
 *
 * @throws when the library is not on this machine.
 */
export function bindBlas(koffi: typeof import("koffi"), name: string): BlasCalls {
  const library = koffi.load(name);
  const sgemm = library.func(
    "void cblas_sgemm(int, int, int, int, int, int, float, uintptr_t, int, uintptr_t, int, float, uintptr_t, int)",
  );
  const sgemv = library.func(
    "void cblas_sgemv(int, int, int, int, float, uintptr_t, int, uintptr_t, int, float, uintptr_t, int)",
  );
  // Row-major is 101, as it lies 111, transposed 112.
  const gemv: BlasCalls["gemv"] = (m, n, alpha, a, lda, x, beta, y) =>
    sgemv(101, 111, m, n, alpha, a, lda, x, 1, beta, y, 1);
  const gemm: BlasCalls["gemm"] = (transposeA, transposeB, ...rest) =>
    sgemm(101, 111 + transposeA!, 111 + transposeB!, ...rest);
  return {
    gemm,
    gemv,
    gemvRows(block, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc) {
      for (let column = 0; column < n!; column += block!) {
        const columns = Math.min(block!, n! - column);
        for (let row = 0; row < m!; row++) {
          const at = b! + column * ldb! * 4;
          gemv(columns, k!, alpha!, at, ldb!, a! + row * lda! * 4, beta!, c! + (row * ldc! + column) * 4);
        }
      }
    },
    gemmRows(rows, block, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc) {
      for (let column = 0; column < n!; column += block!) {
        const columns = Math.min(block!, n! - column);
        const at = b! + column * ldb! * 4;
        for (let row = 0; row < m!; row += rows!) {
          const [fromA, toC] = [a! + row * lda! * 4, c! + (row * ldc! + column) * 4];
          gemm(0, 1, Math.min(rows!, m! - row), columns, k!, alpha!, fromA, lda!, at, ldb!, beta!, toC, ldc!);
        }
      }
    },
  };
}

/**
 * OpenBLAS or Accelerate, called through koffi without a copy; undefined when the machine has neither.
 * `AFTERSTATE_BLAS=off` leaves it out.
 *
 * @param threads how many threads one product may use (OpenBLAS only, and for the whole process).
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
  useWideKernels(koffi);
  for (const name of LIBRARIES[process.platform] ?? []) {
    try {
      const calls = bindBlas(koffi, name);
      try {
        koffi.load(name).func("void openblas_set_num_threads(int)")(threads);
      } catch {
        // Accelerate chooses its own number of threads.
      }
      const addressOf = (data: Float32Array) => Number(koffi.address(data));
      return {
        name: name.slice(name.lastIndexOf("/") + 1),
        ...calls,
        multiply(transposeA, transposeB, [m, n, k], a, b, c) {
          const [lda, ldb] = [transposeA ? m : k, transposeB ? k : n];
          const [atA, atB, atC] = [addressOf(a), addressOf(b), addressOf(c)];
          calls.gemm(Number(transposeA), Number(transposeB), m, n, k, 1, atA, lda, atB, ldb, 0, atC, n);
        },
        addressOf,
        origin: [require.resolve("koffi"), name],
      };
    } catch {
      // Not on this machine: the next name.
    }
  }
  return undefined;
}

/** What OpenBLAS' kernels for 512-bit registers need. */
const WIDE = ["avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"];

/**
 * OpenBLAS before 0.3.22 takes AMD's processors with AVX-512 for older ones, and computes at two thirds of their speed. It reads the name of
 * the kernels to use from the environment when it is loaded; what the user has set there stays.
 */
function useWideKernels(koffi: typeof import("koffi")): void {
  if (process.platform !== "linux" || process.arch !== "x64") return;
  try {
    const [processor = ""] = readFileSync("/proc/cpuinfo", "utf8").split("\n\n", 1);
    const flags = new Set(/^flags\s*:(.*)$/m.exec(processor)?.[1]?.split(" "));
    if (!processor.includes("AuthenticAMD") || !WIDE.every((flag) => flags.has(flag))) return;
    // Not process.env: on a worker thread that is a copy, which no library sees.
    koffi.load("libc.so.6").func("int setenv(const char*, const char*, int)")("OPENBLAS_CORETYPE", "SkylakeX", 0);
  } catch {
    // Without /proc or glibc OpenBLAS chooses by itself.
  }
}
