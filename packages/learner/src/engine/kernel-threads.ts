import { Worker } from "node:worker_threads";
import { type Blas, type BlasCalls, bindBlas } from "../tensor/blas.js";
import type { Address, KernelExports } from "./kernels.js";
import type { WasmMemory, WasmModule } from "./webassembly.js";

/** One call of a kernel or of BLAS: which, by its place in {@link Callables}, and its arguments. */
export type Call = readonly number[];

/** What threads can call, in an order that all of them share. */
export type Callables = readonly ((...numbers: number[]) => unknown)[];

/**
 * Of one thread: what it has been asked for, what it has done, how many calls, whether one of them failed, whether somebody has
 * taken them on, and whether the thread is up. One that does not get a core in time finds that the caller has done its part. int32.
 */
const ASKED = 0;
const DONE = 1;
const COUNT = 2;
const FAILED = 3;
const TAKEN = 4;
const UP = 5;
const STATE_BYTES = 24;
/** A thread that is not up by then is left to come later; its part is done in its stead. */
const START_MS = 5_000;
/** Float64s of one thread's letter box; each call takes its length, which, and its arguments. */
const BOX = 32_768;
/** A call has at most so many arguments. */
const LONGEST = 18;

/** Looks at the letter box before a thread sleeps: some tens of microseconds, as one call follows the other. */
const SPINS = 20_000;

/** Names the calls of an instance of the kernels, and of BLAS where there is one, in the order of {@link Callables}. */
function callablesOf(kernels: KernelExports, blas: BlasCalls | undefined): Callables {
  const names = Object.keys(kernels).sort() as (keyof KernelExports)[];
  const own = names.map((name) => kernels[name] as (...numbers: number[]) => unknown);
  return blas === undefined ? own : [...own, blas.gemm, blas.gemv, blas.gemvRows, blas.gemmRows];
}

/**
 * What a thread runs: it watches its letter box for a moment before it sleeps. Source text, because it has to run from src/ in tests
 * and from dist/ alike.
 */
const PROGRAM = `
const { workerData: { module, memory, room, state, values, origin } } = require("node:worker_threads");
const kernels = new WebAssembly.Instance(module, { env: { memory } }).exports;
kernels.useRoom(room);
const blas = origin && (${bindBlas.toString()})(require(origin[0]), origin[1]);
const callables = (${callablesOf.toString()})(kernels, blas);
Atomics.store(state, ${UP}, 1);
Atomics.notify(state, ${UP});
for (let seen = 0; ; ) {
  for (let spin = 0; spin < ${SPINS} && Atomics.load(state, ${ASKED}) === seen; spin++);
  Atomics.wait(state, ${ASKED}, seen);
  seen = Atomics.load(state, ${ASKED});
  try {
    const calls = Atomics.compareExchange(state, ${TAKEN}, 0, 1) === 0 ? state[${COUNT}] : 0;
    for (let call = 0, at = 0; call < calls; call++) {
      const end = at + 1 + values[at];
      callables[values[at + 1]](...values.subarray(at + 2, end));
      at = end;
    }
  } catch {
    state[${FAILED}] = 1;
  }
  Atomics.store(state, ${DONE}, seen);
  Atomics.notify(state, ${DONE});
}`;

interface Thread {
  readonly worker: Worker;
  readonly state: Int32Array;
  readonly values: Float64Array;
}

/** The caller's thread and others beside it, which compute on one memory. */
export interface KernelThreads {
  readonly callables: Callables;
  /** Runs a list of calls on each thread, in order, the first on the caller's; returns when all are done. */
  run(lists: readonly (readonly Call[])[]): void;
  dispose(): void;
}

/** Opens the caller's thread, and one more for each further room as soon as they are needed. */
export function openKernelThreads(
  [own, ...rooms]: readonly [Address, ...Address[]],
  module: WasmModule,
  memory: WasmMemory,
  kernels: KernelExports,
  blas: Blas | undefined,
): KernelThreads {
  kernels.useRoom(own);
  const callables = callablesOf(kernels, blas);
  const threads: Thread[] = [];
  const start = (room: Address): Thread => {
    const state = new Int32Array(new SharedArrayBuffer(STATE_BYTES));
    const values = new Float64Array(new SharedArrayBuffer(BOX * 8));
    const workerData = { module, memory, room, state, values, origin: blas?.origin };
    const worker = new Worker(PROGRAM, { eval: true, workerData });
    worker.unref();
    return { worker, state, values };
  };

  /** A process that ends while a thread still loads BLAS would be aborted: nothing goes on before the threads are up. */
  const startUpTo = (count: number): void => {
    const starting = rooms.slice(threads.length, count).map(start);
    for (const { state } of starting) Atomics.wait(state, UP, 0, START_MS);
    threads.push(...starting);
  };

  const ask = ({ state, values }: Thread, calls: readonly Call[]): void => {
    let at = 0;
    for (const call of calls) {
      values[at] = call.length;
      values.set(call, at + 1);
      at += call.length + 1;
    }
    state[COUNT] = calls.length;
    Atomics.store(state, TAKEN, 0); // from now on a thread that comes late from an earlier call may take these
    Atomics.add(state, ASKED, 1);
    Atomics.notify(state, ASKED);
  };

  const runHere = (calls: readonly Call[]): void => {
    for (const [which, ...numbers] of calls) callables[which!]!(...numbers);
  };

  /** Waits for a thread, or does its part if it has not begun. */
  const finish = ({ state }: Thread, calls: readonly Call[]): void => {
    if (Atomics.compareExchange(state, TAKEN, 0, 1) === 0) {
      runHere(calls);
      return;
    }
    const ticket = Atomics.load(state, ASKED);
    for (let spin = 0; spin < SPINS && Atomics.load(state, DONE) !== ticket; spin++);
    for (let done = Atomics.load(state, DONE); done !== ticket; done = Atomics.load(state, DONE)) {
      Atomics.wait(state, DONE, done);
    }
    if (state[FAILED] !== 0) throw new Error("a kernel failed on a thread of the engine");
  };

  const most = Math.floor(BOX / (LONGEST + 2));
  return {
    callables,
    run(lists) {
      if (threads.length < lists.length - 1) startUpTo(lists.length - 1);
      for (let from = 0; lists.some((list) => list.length > from); from += most) {
        const parts = lists.map((list) => list.slice(from, from + most));
        const asked = parts.slice(1).flatMap((calls, index) => {
          if (calls.length === 0) return [];
          ask(threads[index]!, calls);
          return [{ thread: threads[index]!, calls }];
        });
        runHere(parts[0]!);
        for (const { thread, calls } of asked) finish(thread, calls);
      }
    },
    dispose() {
      for (const { worker } of threads) void worker.terminate();
    },
  };
}
