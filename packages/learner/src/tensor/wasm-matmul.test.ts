import { createRandom } from "@afterstate/core";
import * as tf from "@tensorflow/tfjs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openBackend } from "./backend.js";
import { loadBlas } from "./blas.js";
import { replaceWasmMatMul } from "./wasm-matmul.js";

beforeAll(async () => {
  await openBackend({ name: "wasm" });
});
afterAll(() => replaceWasmMatMul(loadBlas(1)));

const random = createRandom(2);
const values = (shape: readonly number[]) =>
  Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.next() - 0.5);

/** The definition: C[i][j] = Σ_l A[i][l] · B[l][j], in float64. */
function product(
  a: readonly number[],
  b: readonly number[],
  [m, k, n]: readonly [number, number, number],
  ta: boolean,
  tb: boolean,
) {
  return Array.from({ length: m * n }, (_, at) => {
    const [i, j] = [Math.floor(at / n), at % n];
    let sum = 0;
    for (let l = 0; l < k; l++) sum += a[ta ? l * m + i : i * k + l]! * b[tb ? j * k + l : l * n + j]!;
    return sum;
  });
}

describe.each([
  ["without BLAS", (): ReturnType<typeof loadBlas> => undefined],
  ["on the machine's BLAS, where it has one", (): ReturnType<typeof loadBlas> => loadBlas(1)],
] as const)("matMul of the wasm backend %s", (_name, blas) => {
  beforeAll(() => replaceWasmMatMul(blas()));

  it("is the product by definition, plain, transposed and batched", () => {
    for (const [m, k, n] of [
      [1, 1, 1],
      [3, 5, 2],
      [17, 33, 9],
    ] as const) {
      for (const [ta, tb] of [
        [false, false],
        [true, false],
        [false, true],
        [true, true],
      ] as const) {
        const shapeA = ta ? [k, m] : [m, k];
        const shapeB = tb ? [n, k] : [k, n];
        const [a, b] = [
          [values(shapeA), values(shapeA)],
          [values(shapeB), values(shapeB)],
        ] as const;
        const one = tf.matMul(
          tf.tensor2d(a[0]!, shapeA as [number, number]),
          tf.tensor2d(b[0]!, shapeB as [number, number]),
          ta,
          tb,
        );
        product(a[0]!, b[0]!, [m, k, n], ta, tb).forEach((expected, i) =>
          expect(one.dataSync()[i]).toBeCloseTo(expected, 4),
        );
        const batched = tf.matMul(tf.tensor(a.flat(), [2, ...shapeA]), tf.tensor(b.flat(), [2, ...shapeB]), ta, tb);
        expect(batched.shape).toEqual([2, m, n]);
        const expected = [0, 1].flatMap((i) => product(a[i]!, b[i]!, [m, k, n], ta, tb));
        batched.dataSync().forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 4));
        const shared = tf.matMul(
          tf.tensor(a.flat(), [2, ...shapeA]),
          tf.tensor2d(b[0]!, shapeB as [number, number]),
          ta,
          tb,
        );
        const expectedShared = [0, 1].flatMap((i) => product(a[i]!, b[0]!, [m, k, n], ta, tb));
        shared.dataSync().forEach((value, i) => expect(value).toBeCloseTo(expectedShared[i]!, 4));
      }
    }
  });
});
