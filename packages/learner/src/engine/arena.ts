import { AgentError } from "@afterstate/core";
import { Memory, type WasmMemory } from "./webassembly.js";

/** Blocks start at multiples of it: one cache line. In bytes. */
const ALIGNMENT = 64;
/** The first page belongs to the kernels' own constants. In bytes. */
const RESERVED = 65_536;
const PAGE = 65_536;
/** WebAssembly addresses 4 GB. In pages. */
export const MAX_PAGES = 65_536;
/** How much the memory grows by at least. In bytes. */
const GROWTH = 16 * 2 ** 20;

/** A stretch of the memory that nobody uses. In bytes. */
interface Gap {
  address: number;
  bytes: number;
}

/**
 * The engine's float32 memory: one WebAssembly.Memory that only grows. Addresses are in bytes, sizes in floats.
 *
 * Below lie blocks that their holder frees: weights, moments, caches. Above them lies the scratch stack of the pass that runs:
 * a pass takes floats in order and gives all of them back when it ends, so nothing is collected and nothing leaks.
 */
export class Arena {
  readonly memory: WasmMemory;
  #floats: Float32Array;
  #gaps: Gap[] = [];
  readonly #blocks = new Map<number, number>();
  /** Where the last block ends. */
  #top = RESERVED;
  /** Where the scratch stack ends; undefined while no pass runs. */
  #scratch: number | undefined;

  constructor() {
    // Shared, so that views stay valid when it grows and threads can compute on it.
    this.memory = new Memory({ initial: GROWTH / PAGE, maximum: MAX_PAGES, shared: true });
    this.#floats = new Float32Array(this.memory.buffer);
  }

  /** All of the memory as floats: the float at an address is at index address ÷ 4. */
  get floats(): Float32Array {
    return this.#floats;
  }

  /** Bytes in blocks that were not freed. */
  get allocated(): number {
    let sum = 0;
    for (const bytes of this.#blocks.values()) sum += bytes;
    return sum;
  }

  /** Floats at an address, as a view. */
  view(address: number, length: number): Float32Array {
    return this.#floats.subarray(address / 4, address / 4 + length);
  }

  /** The same as int32. */
  integers(address: number, length: number): Int32Array {
    return new Int32Array(this.memory.buffer, address, length);
  }

  /** A block of floats, not cleared, until it is freed. Not while a pass runs. @throws AgentError `engine/out-of-memory`. */
  allocate(length: number): number {
    if (this.#scratch !== undefined) throw new Error("a block cannot be allocated while a pass runs");
    const bytes = aligned(length * 4);
    const fitting = this.#gaps.find((gap) => gap.bytes >= bytes);
    const address = fitting?.address ?? this.#top;
    if (fitting === undefined) {
      this.#reach(address + bytes);
      this.#top = address + bytes;
    } else {
      fitting.address += bytes;
      fitting.bytes -= bytes;
      if (fitting.bytes === 0) this.#gaps.splice(this.#gaps.indexOf(fitting), 1);
    }
    this.#blocks.set(address, bytes);
    return address;
  }

  /** Frees a block. Not while a pass runs. */
  free(address: number): void {
    const bytes = this.#blocks.get(address);
    if (bytes === undefined) throw new Error(`no block starts at ${address}`);
    this.#blocks.delete(address);
    this.#gaps.push({ address, bytes });
    this.#gaps.sort((a, b) => a.address - b.address);
    this.#gaps = this.#gaps.reduce<Gap[]>((merged, gap) => {
      const last = merged.at(-1);
      if (last !== undefined && last.address + last.bytes === gap.address) last.bytes += gap.bytes;
      else merged.push(gap);
      return merged;
    }, []);
    const last = this.#gaps.at(-1);
    if (last !== undefined && last.address + last.bytes === this.#top) {
      this.#top = last.address;
      this.#gaps.pop();
    }
  }

  /** Runs a pass: what it takes by {@link take} is given back when it ends. Passes do not nest. */
  pass<T>(run: () => T): T {
    if (this.#scratch !== undefined) throw new Error("a pass is already running");
    this.#scratch = this.#top;
    try {
      return run();
    } finally {
      this.#scratch = undefined;
    }
  }

  /** Floats of the running pass, not cleared. @throws AgentError `engine/out-of-memory`. */
  take(length: number): number {
    if (this.#scratch === undefined) throw new Error("floats of a pass were taken outside of one");
    const address = this.#scratch;
    const end = address + aligned(length * 4);
    this.#reach(end);
    this.#scratch = end;
    return address;
  }

  /** Gives back at its end what `run` takes, within a pass. */
  scope<T>(run: () => T): T {
    const mark = this.#scratch;
    try {
      return run();
    } finally {
      this.#scratch = mark;
    }
  }

  #reach(end: number): void {
    const size = this.memory.buffer.byteLength;
    if (end <= size) return;
    if (end > MAX_PAGES * PAGE) {
      throw new AgentError(
        "engine/out-of-memory",
        `the engine needs ${Math.ceil(end / 2 ** 20)} MB and WebAssembly holds 4096 MB; take fewer or shorter sequences at once, or train adapters in place of all weights`,
      );
    }
    const wanted = Math.min(MAX_PAGES * PAGE, Math.max(end, size + GROWTH));
    try {
      this.memory.grow(Math.ceil((wanted - size) / PAGE));
    } catch (cause) {
      throw new AgentError(
        "engine/out-of-memory",
        `this machine gives the engine no more than ${Math.floor(size / 2 ** 20)} MB; free memory, or take fewer or shorter sequences at once`,
        { cause },
      );
    }
    this.#floats = new Float32Array(this.memory.buffer);
  }
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}
