import { describe, expect, it } from "vitest";
import type { Blas } from "../tensor/blas.js";
import { openRowsTogether } from "./rows-together.js";

/** A BLAS in float32 sums, which adds up backwards for the rows that `backwards` names. Addresses: 2³² bytes for each array. */
function plainBlas(backwards: (row: number, rows: number) => boolean): Blas {
  const arrays: Float32Array[] = [];
  const at = (address: number) => {
    const array = arrays[Math.floor(address / 2 ** 32)]!;
    return array.subarray((address % 2 ** 32) / 4);
  };
  return {
    addressOf: (data: Float32Array) => (arrays.push(data) - 1) * 2 ** 32,
    gemm(_a, _b, m, n, k, _alpha, a, lda, b, ldb, _beta, c, ldc) {
      for (let i = 0; i < m!; i++)
        for (let j = 0; j < n!; j++) {
          const [row, column] = [at(a! + i * lda! * 4), at(b! + j * ldb! * 4)];
          let sum = 0;
          for (let t = 0; t < k!; t++) {
            const p = backwards(i, m!) ? k! - 1 - t : t;
            sum = Math.fround(sum + row[p]! * column[p]!);
          }
          at(c! + (i * ldc! + j) * 4)[0] = sum;
        }
    },
  } as Partial<Blas> as Blas;
}

describe("rows that BLAS computes together", () => {
  it("are as many as stay below a million multiplications", () => {
    const together = openRowsTogether(plainBlas(() => false));
    expect(together(64, 20)).toEqual({ rows: 16, columns: 64 });
    // 64 · 1200 leaves 13 rows, 32 · 1200 leaves 26, of which 16 are enough
    expect(together(64, 1200)).toEqual({ rows: 16, columns: 32 });
    // 32 · 10,000 leaves 3 rows: too few to be worth it
    expect(together(64, 10_000)).toBeUndefined();
  });

  it("are none where columns are left over from fours", () => {
    expect(openRowsTogether(plainBlas(() => false))(66, 20)).toBeUndefined();
  });

  it("are none where a row's sum depends on how many there are, or on its place", () => {
    expect(openRowsTogether(plainBlas((_, rows) => rows >= 12))(64, 20)).toBeUndefined();
    expect(openRowsTogether(plainBlas((row) => row === 15))(64, 20)).toBeUndefined();
  });
});
