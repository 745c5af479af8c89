import { availableParallelism } from "node:os";
import { type Blas, loadBlas } from "../tensor/blas.js";
import { Arena } from "./arena.js";
import { type Call, type KernelThreads, openKernelThreads } from "./kernel-threads.js";
import { type Address, bindKernels, compileKernels, type KernelExports, type Kernels } from "./kernels.js";
import { leastBusy } from "./least-busy.js";
import { encodeOnBlas, encodeOnKernel, type Matrix, type Product, partsOf, splitProduct } from "./product.js";
import { openRowsTogether, type RowBlock } from "./rows-together.js";
import { BY_COLUMN, floatsOf } from "./shared-kernels.js";

/** The memory, the kernels and the matrix product of one engine. */
export interface Machine {
  /** What products run on, for people. */
  readonly description: string;
  readonly arena: Arena;
  readonly kernels: Kernels;
  /** How many lists {@link run} takes at most: the threads. */
  readonly lanes: number;
  /** Whether matrices may lie outside of the arena. */
  readonly readsAnywhere: boolean;
  /** An array that products read. It must not be collected as long as they do. @param address where it lies in the arena, if it does. */
  matrix(data: Float32Array, address?: Address): Matrix;
  /** Whether the rows of a product are done as fast each by itself (`Product.rowsAlone`) as all together. */
  rowsAloneAreFast({ n, k }: Product): boolean;
  multiply(product: Product): void;
  /** Products that do not touch what others of them write, side by side. */
  multiplyAll(products: readonly Product[]): void;
  /** A product as a call, for {@link run}. */
  product(product: Product): Call;
  /** A kernel as a call; `from` and `to` in place of its last argument. */
  call(name: keyof Kernels, ...numbers: number[]): Call;
  /** Runs lists of calls side by side, each in order. What one list writes, no other may touch. */
  run(lists: readonly (readonly Call[])[]): void;
  dispose(): void;
}

/** How a machine computes. */
export interface MachineOptions {
  /** Threads of the engine. Default: the cores. */
  readonly threads?: number;
}

/** More threads than that wait for memory, not for arithmetic. */
const MAX_THREADS = 8;
/** Floats that a kernel touches from which on two threads are faster than one. */
const WORTH_SHARING = 32_768;
/** Parts of rows begin at multiples of it, so that threads do not write to the same cache line. */
const PART = 16;

/** Opens memory, kernels, BLAS and threads. One product of BLAS has one thread: the engine shares products among its own. */
export function openMachine(options: MachineOptions = {}): Machine {
  const lanes = Math.min(MAX_THREADS, options.threads ?? availableParallelism());
  const arena = new Arena();
  const module = compileKernels();
  const own = bindKernels(module, arena.memory);
  const rooms = Array.from({ length: lanes }, () => arena.allocate(own.roomBytes() / 4));
  const blas = loadBlas(1);
  const threads = openKernelThreads(rooms as [number, ...number[]], module, arena.memory, own, blas);
  const indices = new Map(
    Object.keys(own)
      .sort()
      .map((name, index) => [name, index]),
  );
  const together = blas === undefined ? () => undefined : openRowsTogether(blas);
  const encode = encoder(arena, blas, indices, together);
  const call = (name: keyof Kernels, ...numbers: number[]): Call => [indices.get(name)!, ...numbers];
  const multiplyAll = (products: readonly Product[]): void => {
    const wanted = products.filter(({ m, n }) => m > 0 && n > 0);
    const parts = Math.min(
      lanes,
      wanted.reduce((sum, product) => sum + partsOf(product), 0),
    );
    if (parts < 2) {
      for (const [which, ...numbers] of wanted.map(encode)) threads.callables[which!]!(...numbers);
      return;
    }
    const shares = Array.from({ length: parts }, () => ({ calls: [] as Call[], work: 0 }));
    for (const product of wanted) {
      for (const part of splitProduct(product, Math.min(parts, partsOf(product)))) {
        leastBusy(shares, part.m * part.n * part.k).calls.push(encode(part));
      }
    }
    threads.run(shares.map(({ calls }) => calls));
  };
  return {
    description: blas?.name ?? "SIMD, no BLAS found",
    arena,
    kernels: shareKernels(own, threads, lanes, call),
    lanes,
    readsAnywhere: blas !== undefined,
    matrix: (data, address) => ({
      data,
      ...(address !== undefined && { address }),
      ...(blas !== undefined && { pointer: blas.addressOf(data) }),
    }),
    rowsAloneAreFast: ({ n, k }) => together(n, k) !== undefined,
    multiply: (product) => multiplyAll([product]),
    multiplyAll,
    product: encode,
    call,
    run: (lists) => threads.run(lists),
    dispose: () => threads.dispose(),
  };
}

/** Chooses what a product runs on. */
function encoder(
  arena: Arena,
  blas: Blas | undefined,
  indices: ReadonlyMap<string, number>,
  together: (n: number, k: number) => RowBlock | undefined,
): (product: Product) => Call {
  const multipliers = {
    sgemm: indices.get("sgemm")!,
    multiplyRows: indices.get("multiplyRows")!,
    gemm: indices.size,
    gemv: indices.size + 1,
    gemvRows: indices.size + 2,
    gemmRows: indices.size + 3,
  };
  if (blas === undefined) return (product) => encodeOnKernel(product, multipliers);
  const base = blas.addressOf(arena.floats); // shared memory grows in place
  return (product) =>
    encodeOnBlas(product, base, multipliers, product.rowsAlone === true ? together(product.n, product.k) : undefined);
}

/** The kernels by their whole size, on the threads where that is worth it. */
function shareKernels(
  own: KernelExports,
  threads: KernelThreads,
  lanes: number,
  call: (name: keyof Kernels, ...numbers: number[]) => Call,
): Kernels {
  const shared: Record<string, (...numbers: number[]) => number | undefined> = {};
  for (const name of Object.keys(own) as (keyof Kernels)[]) {
    shared[name] = (...numbers) => {
      const count = numbers.pop()!;
      const parts = lanes < 2 ? 1 : Math.min(lanes, Math.floor(floatsOf(name, numbers, count) / WORTH_SHARING) + 1);
      if (parts < 2) return own[name](...numbers, 0, count);
      const multiple = BY_COLUMN.has(name) ? PART : 1;
      const size = Math.ceil(count / parts / multiple) * multiple;
      const lists = Array.from({ length: Math.ceil(count / size) }, (_, part) => [
        call(name, ...numbers, part * size, Math.min(count, (part + 1) * size)),
      ]);
      threads.run(lists);
      return undefined;
    };
  }
  return shared as unknown as Kernels;
}
