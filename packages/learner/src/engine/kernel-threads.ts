import { Worker } from "node:worker_threads";
import type { Address, KernelExports, Kernels } from "./kernels.js";
import type { WasmMemory, WasmModule } from "./webassembly.js";

/** Of one thread: what it has been asked for, what it has done, which kernel, how many arguments. int32. */
const ASKED = 0;
const DONE = 1;
const KERNEL = 2;
const COUNT = 3;
/** Bytes of one thread's letter box: four int32, then the arguments in float64. */
const BOX = 256;
const ARGUMENTS = 16;

/**
 * What a thread runs. It watches its letter box for a moment before it sleeps, as a kernel follows the other within microseconds.
 * Source text, because the same file runs from src/ in tests and from dist/.
 */
const PROGRAM = `
const { workerData: { module, memory, room, box, names, spins } } = require("node:worker_threads");
const kernels = new WebAssembly.Instance(module, { env: { memory } }).exports;
kernels.useRoom(room);
const state = new Int32Array(box);
const values = new Float64Array(box, ${ARGUMENTS});
for (let seen = 0; ; ) {
  for (let spin = 0; spin < spins && Atomics.load(state, ${ASKED}) === seen; spin++);
  Atomics.wait(state, ${ASKED}, seen);
  seen = Atomics.load(state, ${ASKED});
  kernels[names[state[${KERNEL}]]](...values.subarray(0, state[${COUNT}]));
  Atomics.store(state, ${DONE}, seen);
  Atomics.notify(state, ${DONE});
}`;
/** Looks at the letter box before a thread sleeps: some tens of microseconds. */
const SPINS = 20_000;

interface Thread {
  readonly worker: Worker;
  readonly state: Int32Array;
  readonly values: Float64Array;
}

/** Threads that compute parts of a kernel call beside the caller's own. */
export interface KernelThreads {
  /**
   * Runs a kernel on [0, count) in `parts` equal parts or as many as there are threads, the caller's included, and waits for all.
   *
   * @param multiple parts begin at multiples of it.
   */
  run(name: keyof Kernels, head: readonly number[], count: number, parts: number, multiple: number): void;
  dispose(): void;
}

/** Starts a thread for each room, over the caller's memory. */
export function startKernelThreads(
  rooms: readonly Address[],
  module: WasmModule,
  memory: WasmMemory,
  own: KernelExports,
): KernelThreads {
  const names = Object.keys(own) as (keyof Kernels)[];
  const threads = rooms.map((room): Thread => {
    const box = new SharedArrayBuffer(BOX);
    const worker = new Worker(PROGRAM, { eval: true, workerData: { module, memory, room, box, names, spins: SPINS } });
    worker.unref();
    return { worker, state: new Int32Array(box), values: new Float64Array(box, ARGUMENTS) };
  });
  return {
    run(name, head, count, parts, multiple) {
      const part = Math.ceil(count / Math.min(parts, threads.length + 1) / multiple) * multiple;
      let from = 0;
      const asked = threads.filter(({ state, values }) => {
        if (from + part >= count) return false;
        values.set(head);
        values[head.length] = from;
        values[head.length + 1] = from + part;
        from += part;
        state[KERNEL] = names.indexOf(name);
        state[COUNT] = head.length + 2;
        Atomics.add(state, ASKED, 1);
        Atomics.notify(state, ASKED);
        return true;
      });
      own[name](...head, from, count);
      for (const { state } of asked) {
        const ticket = Atomics.load(state, ASKED);
        for (let spin = 0; spin < SPINS && Atomics.load(state, DONE) !== ticket; spin++);
        for (let done = Atomics.load(state, DONE); done !== ticket; done = Atomics.load(state, DONE)) {
          Atomics.wait(state, DONE, done);
        }
      }
    },
    dispose() {
      for (const { worker } of threads) void worker.terminate();
    },
  };
}
