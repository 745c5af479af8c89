import { readFileSync } from "node:fs";
import { AgentError } from "@afterstate/core";
import { Instance, Module, type WasmMemory, type WasmModule } from "./webassembly.js";

/** An address in the arena, in bytes. */
export type Address = number;

/**
 * What is compiled from assembly/: equations and shapes are there. The last argument is how many rows, columns or elements to do;
 * it can be done in parts on several threads.
 */
export interface Kernels {
  addBias(x: Address, bias: Address, width: number, rows: number): void;
  addTo(y: Address, x: Address, elements: number): void;
  appendHeads(
    x: Address,
    cache: Address,
    heads: number,
    headDim: number,
    capacity: number,
    length: number,
    rows: number,
  ): void;
  attendOne(
    q: Address,
    keys: Address,
    values: Address,
    out: Address,
    scores: Address,
    group: number,
    headDim: number,
    length: number,
    capacity: number,
    scale: number,
    keyValueHeads: number,
  ): void;
  adamw(
    w: Address,
    g: Address,
    m: Address,
    v: Address,
    clip: number,
    learningRate: number,
    beta1: number,
    beta2: number,
    correction1: number,
    correction2: number,
    epsilon: number,
    decay: number,
    elements: number,
  ): void;
  causalSoftmax(scores: Address, stride: number, keys: number, offset: number, scale: number, rows: number): void;
  causalSoftmaxBackward(
    probabilities: Address,
    slopes: Address,
    stride: number,
    keys: number,
    offset: number,
    scale: number,
    rows: number,
  ): void;
  divergenceAndEntropy(
    z: Address,
    logSumExp: Address,
    reference: Address,
    divergence: Address,
    entropy: Address,
    vocab: number,
    rows: number,
  ): void;
  dot(x: Address, y: Address, elements: number): number;
  gatherRows(x: Address, indices: Address, y: Address, width: number, rows: number): void;
  policyGradient(
    z: Address,
    targets: Address,
    logSumExp: Address,
    slopes: Address,
    reference: Address,
    beta: number,
    teacher: Address,
    teacherRows: Address,
    weights: Address,
    clip: number,
    factor: number,
    costs: Address,
    vocab: number,
    rows: number,
  ): void;
  rmsNorm(x: Address, w: Address, y: Address, scale: Address, epsilon: number, width: number, rows: number): void;
  rmsNormAgain(x: Address, w: Address, y: Address, scale: Address, width: number, rows: number): void;
  rmsNormBackward(
    x: Address,
    w: Address,
    scale: Address,
    dy: Address,
    dx: Address,
    adds: 0 | 1,
    width: number,
    rows: number,
  ): void;
  rmsNormWeightGradient(
    x: Address,
    scale: Address,
    dy: Address,
    dw: Address,
    width: number,
    rows: number,
    columns: number,
  ): void;
  rotary(
    x: Address,
    cos: Address,
    sin: Address,
    positions: Address,
    heads: number,
    headDim: number,
    direction: 1 | -1,
    rows: number,
  ): void;
  scaleRows(x: Address, factors: Address, width: number, rows: number): void;
  scatterAdd(dTable: Address, ids: Address, dx: Address, width: number, rows: number, columns: number): void;
  subtractRows(z: Address, logSumExp: Address, vocab: number, rows: number): void;
  sumRows(dy: Address, db: Address, width: number, rows: number, columns: number): void;
  swiglu(gate: Address, up: Address, y: Address, elements: number): void;
  swigluBackward(gate: Address, up: Address, dy: Address, elements: number): void;
  targetGradient(z: Address, targets: Address, logSumExp: Address, slopes: Address, vocab: number, rows: number): void;
  targetLogProbs(
    z: Address,
    targets: Address,
    logSumExp: Address,
    logProbs: Address,
    vocab: number,
    rows: number,
  ): void;
}

/** The compiled kernels as they are: `from` and `to` in place of the last argument. */
export type KernelExports = Readonly<Record<keyof Kernels, (...numbers: number[]) => number>> & {
  /** C = α op(A) op(B) + β C: transposeA, transposeB, m, n, k, α, A, lda, B, ldb, β, C, ldc. */
  sgemm(...numbers: number[]): void;
  /** C = α A Bᵀ + β C, each row as if it were alone: m, n, k, α, A, lda, B, ldb, β, C, ldc. */
  multiplyRows(...numbers: number[]): void;
  /** Bytes that {@link useRoom} needs. */
  roomBytes(): number;
  /** Gives an instance memory of its own to pack blocks of products in. */
  useRoom(address: Address): void;
};

/** The compiled module, beside the built package. */
export function compileKernels(): WasmModule {
  const url = new URL("../../dist/kernels.wasm", import.meta.url);
  try {
    return new Module(readFileSync(url));
  } catch (cause) {
    throw new AgentError(
      "engine/no-kernels",
      "the compiled kernels of @afterstate/learner could not be read; run `npm run build`",
      { cause },
    );
  }
}

/** Binds the kernels to a memory. */
export function bindKernels(module: WasmModule, memory: WasmMemory): KernelExports {
  return new Instance(module, { env: { memory } }).exports as unknown as KernelExports;
}
