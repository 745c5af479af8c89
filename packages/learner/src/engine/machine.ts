import { availableParallelism } from "node:os";
import { type Blas, loadBlas } from "../tensor/blas.js";
import { Arena } from "./arena.js";
import { type KernelThreads, startKernelThreads } from "./kernel-threads.js";
import { type Address, bindKernels, compileKernels, type KernelExports, type Kernels } from "./kernels.js";

/** A matrix in memory, row-major. */
export interface Matrix {
  /** Starts at its first element. */
  readonly data: Float32Array;
  /** Where it lies in the arena; absent when it lies elsewhere, which only BLAS can read. */
  readonly address?: Address;
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
}

/** The memory, the kernels and the matrix product of one engine. */
export interface Machine {
  /** What products run on, for people. */
  readonly description: string;
  readonly arena: Arena;
  readonly kernels: Kernels;
  /** Whether matrices may lie outside of the arena. */
  readonly readsAnywhere: boolean;
  multiply(product: Product): void;
  dispose(): void;
}

/** How a machine computes. */
export interface MachineOptions {
  /** Threads of one product or kernel. Default: the cores. */
  readonly threads?: number;
}

/** Products below this many multiplications are done before BLAS is reached. */
const SMALL_PRODUCT = 16 ** 3;
/** Floats that a kernel touches from which on two threads are faster than one. */
const WORTH_SHARING = 32_768;
/** Kernels wait for memory more than for arithmetic: more threads would not help. */
const MAX_KERNEL_THREADS = 8;
/** Parts are multiples of it, so that threads do not write to the same cache line. */
const PART = 16;

/** Opens memory, kernels and BLAS. */
export function openMachine(options: MachineOptions = {}): Machine {
  const count = options.threads ?? availableParallelism();
  const arena = new Arena();
  const module = compileKernels();
  const own = bindKernels(module, arena.memory);
  const rooms = Array.from({ length: Math.min(count, MAX_KERNEL_THREADS) }, () => arena.allocate(own.roomBytes() / 4));
  own.useRoom(rooms[0]!);
  let threads: KernelThreads | undefined;
  /** The threads, started when the first kernel is worth them. */
  const started =
    count < 2 ? undefined : () => (threads ??= startKernelThreads(rooms.slice(1), module, arena.memory, own));
  const blas = loadBlas(count);
  const kernels = shareKernels(own, started);

  const multiplyHere = ({ m, n, k, a, lda, b, ldb, c, ldc, ...product }: Product): void => {
    const address = typeof b === "number" ? b : b.address!;
    const byColumns = m < n ? 1 : 0;
    kernels.sgemm(
      Number(product.transposeA ?? false),
      Number(product.transposeB ?? false),
      m,
      n,
      k,
      product.alpha ?? 1,
      a,
      lda,
      address,
      ldb,
      product.beta ?? 0,
      c,
      ldc,
      byColumns,
      byColumns === 1 ? n : m,
    );
  };
  return {
    description: blas?.name ?? "SIMD, no BLAS found",
    arena,
    kernels,
    readsAnywhere: blas !== undefined,
    multiply(product) {
      const { m, n, k, b } = product;
      if (m === 0 || n === 0) return;
      const small = m * n * k < SMALL_PRODUCT && (typeof b === "number" || b.address !== undefined);
      if (blas === undefined || small || k === 0) multiplyHere(product);
      else multiplyByBlas(blas, arena, product);
    },
    dispose() {
      threads?.dispose();
    },
  };
}

function multiplyByBlas(blas: Blas, { floats }: Arena, product: Product): void {
  const { m, n, k, lda, ldb, ldc, transposeA = false, transposeB = false, alpha = 1, beta = 0 } = product;
  const a = floats.subarray(product.a / 4);
  const b = typeof product.b === "number" ? floats.subarray(product.b / 4) : product.b.data;
  const c = floats.subarray(product.c / 4);
  if (m === 1 && transposeB && !transposeA) blas.sgemv(n, k, alpha, b, ldb, a, beta, c);
  else blas.sgemm(transposeA, transposeB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

/** The kernels by their whole size, on the threads where that is worth it. */
function shareKernels(own: KernelExports, threads: (() => KernelThreads) | undefined): Kernels {
  const shared: Record<string, (...numbers: number[]) => number | undefined> = {};
  for (const name of Object.keys(own) as (keyof Kernels)[]) {
    const kernel = own[name];
    if (typeof kernel !== "function") continue;
    const elements = ELEMENTS[name];
    shared[name] = (...numbers) => {
      const count = numbers.pop()!;
      const parts = threads === undefined ? 1 : Math.floor((elements?.(numbers, count) ?? 0) / WORTH_SHARING) + 1;
      if (threads === undefined || parts < 2) return kernel(...numbers, 0, count);
      return threads().run(name, numbers, count, parts, BY_COLUMN.has(name) ? PART : 1) as undefined;
    };
  }
  return shared as unknown as Kernels;
}

/** Kernels that are shared among threads by columns or elements, not by rows. */
const BY_COLUMN: ReadonlySet<string> = new Set<keyof Kernels>([
  "adamw",
  "addTo",
  "rmsNormWeightGradient",
  "scatterAdd",
  "sgemm",
  "sumRows",
  "swiglu",
  "swigluBackward",
]);

/** Floats that a call touches, from its arguments without the last, and the last. Absent: never shared. */
const ELEMENTS: Readonly<Partial<Record<keyof Kernels, (numbers: readonly number[], count: number) => number>>> = {
  adamw: (_, elements) => 8 * elements,
  addBias: ([, , width], rows) => width! * rows,
  addTo: (_, elements) => 2 * elements,
  attendOne: ([, , , , , group, headDim, length], heads) => 4 * group! * headDim! * length! * heads,
  causalSoftmax: ([, , keys], rows) => 4 * keys! * rows,
  causalSoftmaxBackward: ([, , , keys], rows) => 4 * keys! * rows,
  divergenceAndEntropy: ([, , , , , vocab], rows) => 8 * vocab! * rows,
  policyGradient: (numbers, rows) => 16 * numbers[12]! * rows,
  rmsNorm: ([, , , , , width], rows) => 2 * width! * rows,
  rmsNormAgain: ([, , , , width], rows) => 2 * width! * rows,
  rmsNormBackward: ([, , , , , , width], rows) => 4 * width! * rows,
  rmsNormWeightGradient: ([, , , , , rows], columns) => 2 * rows! * columns,
  rotary: ([, , , , heads, headDim], rows) => 2 * heads! * headDim! * rows,
  scaleRows: ([, , width], rows) => 2 * width! * rows,
  scatterAdd: ([, , , , rows], columns) => 2 * rows! * columns,
  sgemm: ([, , m, n, k]) => (m! * n! * k!) / 8,
  subtractRows: ([, , vocab], rows) => 2 * vocab! * rows,
  sumRows: ([, , , rows], columns) => rows! * columns,
  swiglu: (_, elements) => 8 * elements,
  swigluBackward: (_, elements) => 8 * elements,
  targetGradient: ([, , , , vocab], rows) => 8 * vocab! * rows,
  targetLogProbs: ([, , , , vocab], rows) => 8 * vocab! * rows,
};
