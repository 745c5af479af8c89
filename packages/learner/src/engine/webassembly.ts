/* The part of WebAssembly's interface that the engine uses: TypeScript declares it for browsers alone. */

/** WebAssembly.Memory, shared between threads. */
export interface WasmMemory {
  readonly buffer: SharedArrayBuffer;
  /** @param pages of 64 kB. @throws RangeError when the machine has no more. */
  grow(pages: number): number;
}

/** WebAssembly.Module: compiled code, which threads can share. */
export type WasmModule = object;

interface WebAssemblyInterface {
  readonly Memory: new (options: { initial: number; maximum: number; shared: boolean }) => WasmMemory;
  readonly Module: new (bytes: Uint8Array) => WasmModule;
  readonly Instance: new (module: WasmModule, imports: { env: { memory: WasmMemory } }) => { readonly exports: object };
}

/** The runtime's WebAssembly. */
export const { Memory, Module, Instance } = (globalThis as unknown as { readonly WebAssembly: WebAssemblyInterface })
  .WebAssembly;
