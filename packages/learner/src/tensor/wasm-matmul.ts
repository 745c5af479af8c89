import * as tf from "@tensorflow/tfjs";
import type { Blas } from "./blas.js";

/** What this file needs of the wasm backend; 4.22 declares none of it. */
interface WasmBackend {
  readonly wasm: {
    readonly HEAPU8: Uint8Array;
    cwrap(name: string, result: null, parameters: readonly string[]): (...parameters: unknown[]) => void;
    readonly tfjs: {
      registerTensor(id: number, size: number, memoryOffset: number): void;
      disposeData(id: number): void;
    };
  };
  readonly dataIdMap: { get(dataId: object): { readonly id: number; readonly memoryOffset: number } };
  dataIdNextNumber: number;
  makeOutput(shape: readonly number[], dtype: "float32"): tf.TensorInfo;
  disposeData(dataId: object): void;
}

type MatMul = (call: {
  readonly inputs: { readonly a: tf.TensorInfo; readonly b: tf.TensorInfo };
  readonly backend: WasmBackend;
  readonly attrs: { readonly transposeA: boolean; readonly transposeB: boolean };
}) => tf.TensorInfo;

const KERNEL = "BatchMatMul";
let shipped: tf.KernelFunc | undefined;

/**
 * Puts matMul of the wasm backend on BLAS, or, without one, on the backend's fast path: it runs plain 2-D operands
 * an order of magnitude faster than transposed or batched ones, so operands are transposed first and the batch is a loop.
 */
export function replaceWasmMatMul(blas: Blas | undefined): void {
  shipped ??= tf.getKernel(KERNEL, "wasm").kernelFunc;
  register((blas === undefined ? transposeFirst() : onBlas(blas)) as unknown as tf.KernelFunc);
}

/** Gives the wasm backend back the matMul that TensorFlow.js ships: the baseline of the benchmark. */
export function restoreWasmMatMul(): void {
  if (shipped !== undefined) register(shipped);
}

function register(kernelFunc: tf.KernelFunc): void {
  tf.unregisterKernel(KERNEL, "wasm");
  tf.registerKernel({ kernelName: KERNEL, backendName: "wasm", kernelFunc });
}

/** Shapes of one product: op(A) [batch, m, k] · op(B) [batch, k, n] → [...outer, m, n]. Batches are equal or 1. */
function shapesOf(a: readonly number[], b: readonly number[], transposeA: boolean, transposeB: boolean) {
  const outerA = a.slice(0, -2);
  const outerB = b.slice(0, -2);
  const [rowsA, columnsA] = [a.at(-2)!, a.at(-1)!];
  const [rowsB, columnsB] = [b.at(-2)!, b.at(-1)!];
  const [m, k] = transposeA ? [columnsA, rowsA] : [rowsA, columnsA];
  const n = transposeB ? rowsB : columnsB;
  const batchA = outerA.reduce((product, size) => product * size, 1);
  const batchB = outerB.reduce((product, size) => product * size, 1);
  return { m, k, n, batchA, batchB, batch: Math.max(batchA, batchB), outer: batchA >= batchB ? outerA : outerB };
}

function onBlas(blas: Blas): MatMul {
  return ({ inputs: { a, b }, backend, attrs: { transposeA, transposeB } }) => {
    const { m, k, n, batchA, batchB, batch, outer } = shapesOf(a.shape, b.shape, transposeA, transposeB);
    const out = backend.makeOutput([...outer, m, n], "float32");
    const heap = backend.wasm.HEAPU8.buffer as ArrayBuffer;
    const [offsetA, offsetB, offsetOut] = [a, b, out].map(({ dataId }) => backend.dataIdMap.get(dataId).memoryOffset);
    if (m * n === 0) return out;
    if (k === 0) {
      new Float32Array(heap, offsetOut!, batch * m * n).fill(0);
      return out;
    }
    // A batch that shares B is one tall product.
    const [rows, count] = batchB === 1 && !transposeA ? [m * batchA, 1] : [m, batch];
    for (let i = 0; i < count; i++) {
      const viewA = new Float32Array(heap, offsetA! + (batchA === 1 ? 0 : i * m * k * 4), rows * k);
      const viewB = new Float32Array(heap, offsetB! + (batchB === 1 ? 0 : i * k * n * 4), k * n);
      const viewOut = new Float32Array(heap, offsetOut! + i * m * n * 4, rows * n);
      blas.multiply(transposeA, transposeB, [rows, n, k], viewA, viewB, viewOut);
    }
    return out;
  };
}

function transposeFirst(): MatMul {
  const transpose = tf.getKernel("Transpose", "wasm").kernelFunc;
  const plain = (backend: WasmBackend, x: tf.TensorInfo): tf.TensorInfo => {
    const last = x.shape.length - 1;
    const perm = x.shape.map((_, axis) => (axis === last ? last - 1 : axis === last - 1 ? last : axis));
    return transpose({ inputs: { x }, backend, attrs: { perm } }) as tf.TensorInfo;
  };
  return ({ inputs, backend, attrs: { transposeA, transposeB } }) => {
    const { m, k, n, batchA, batchB, batch, outer } = shapesOf(inputs.a.shape, inputs.b.shape, transposeA, transposeB);
    const a = transposeA ? plain(backend, inputs.a) : inputs.a;
    const b = transposeB ? plain(backend, inputs.b) : inputs.b;
    const out = backend.makeOutput([...outer, m, n], "float32");
    const [offsetA, offsetB, offsetOut] = [a, b, out].map(({ dataId }) => backend.dataIdMap.get(dataId).memoryOffset);
    const multiply = wasmMultiply(backend);
    const [rows, count] = batchB === 1 ? [m * batchA, 1] : [m, batch];
    for (let i = 0; i < count; i++) {
      multiply(
        [offsetA! + (batchA === 1 ? 0 : i * m * k * 4), rows, k],
        [offsetB! + (batchB === 1 ? 0 : i * k * n * 4), k, n],
        offsetOut! + i * m * n * 4,
      );
    }
    if (transposeA) backend.disposeData(a.dataId);
    if (transposeB) backend.disposeData(b.dataId);
    return out;
  };
}

type Slice = readonly [memoryOffset: number, rows: number, columns: number];
const multipliers = new WeakMap<object, (a: Slice, b: Slice, out: number) => void>();

/** The backend's own product of two plain matrices anywhere on its heap. */
function wasmMultiply(backend: WasmBackend): (a: Slice, b: Slice, out: number) => void {
  const known = multipliers.get(backend);
  if (known !== undefined) return known;
  const { wasm } = backend;
  const number = "number";
  const batchMatMul = wasm.cwrap(KERNEL, null, [
    number,
    "array",
    number,
    number,
    "array",
    number,
    number,
    number,
    number,
  ]);
  const bytes = (rows: number, columns: number) => new Uint8Array(new Int32Array([1, rows, columns]).buffer);
  const multiply = (a: Slice, b: Slice, out: number) => {
    const ids = [backend.dataIdNextNumber++, backend.dataIdNextNumber++, backend.dataIdNextNumber++] as const;
    wasm.tfjs.registerTensor(ids[0], a[1] * a[2], a[0]);
    wasm.tfjs.registerTensor(ids[1], b[1] * b[2], b[0]);
    wasm.tfjs.registerTensor(ids[2], a[1] * b[2], out);
    batchMatMul(ids[0], bytes(a[1], a[2]), 3, ids[1], bytes(b[1], b[2]), 3, false, false, ids[2]);
    for (const id of ids) wasm.tfjs.disposeData(id);
  };
  multipliers.set(backend, multiply);
  return multiply;
}
