import { createRandom } from "@afterstate/core";
import { afterAll, describe, expect, it } from "vitest";
import type { Kernels } from "./kernels.js";
import { type Machine, openMachine } from "./machine.js";

process.env.AFTERSTATE_BLAS = "off";
const machine = openMachine({ threads: 1 });
const two = openMachine({ threads: 2 });
delete process.env.AFTERSTATE_BLAS;
afterAll(() => {
  machine.dispose();
  two.dispose();
});

const random = createRandom(1);
const drawn = (length: number) => Float32Array.from({ length }, () => 4 * random.next() - 2);
/** Copies numbers into a machine's memory. */
const put = ({ arena }: Machine, data: Float32Array): number => {
  const address = arena.allocate(data.length);
  arena.view(address, data.length).set(data);
  return address;
};

describe("the product of the engine", () => {
  /** The plain loop, in float64. */
  const plain = (a: Float32Array, b: Float32Array, [m, n, k]: readonly number[], tA: boolean, tB: boolean) =>
    Float64Array.from({ length: m! * n! }, (_, at) => {
      const [i, j] = [Math.floor(at / n!), at % n!];
      let sum = 0;
      for (let p = 0; p < k!; p++) sum += a[tA ? p * m! + i : i * k! + p]! * b[tB ? j * k! + p : p * n! + j]!;
      return sum;
    });

  it.each([
    [1, 1, 1],
    [1, 37, 70],
    [2, 9, 33],
    [3, 5, 7],
    [4, 8, 16],
    [13, 21, 300],
    [130, 17, 5],
    [6, 530, 19],
  ])("of [%i × %i] over %i is that of a plain loop, transposed or not", (m, n, k) => {
    for (const [transposeA, transposeB] of [
      [false, false],
      [false, true],
      [true, false],
      [true, true],
    ] as const) {
      const [a, b, before] = [drawn(m * k), drawn(k * n), drawn(m * n)];
      const [atA, atB, atC] = [put(machine, a), put(machine, b), put(machine, before)];
      const [lda, ldb] = [transposeA ? m : k, transposeB ? k : n];
      const product = { m, n, k, a: atA, lda, b: atB, ldb, c: atC, ldc: n, transposeA, transposeB };
      machine.multiply({ ...product, alpha: 0.5, beta: 2 });
      const expected = plain(a, b, [m, n, k], transposeA, transposeB);
      machine.arena.view(atC, m * n).forEach((value, i) => {
        expect(Math.abs(value - (0.5 * expected[i]! + 2 * before[i]!))).toBeLessThan(1e-5 * k + 1e-4);
      });
      for (const address of [atA, atB, atC]) machine.arena.free(address);
    }
  });

  it("addresses heads inside of rows by their leading dimension", () => {
    // Rows of two heads of two: A = [[1, 2], [5, 6]], B = [[3, 4], [7, 8]], A Bᵀ = [[11, 23], [39, 83]].
    const x = put(machine, Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    const c = put(machine, new Float32Array(4));
    machine.multiply({ m: 2, n: 2, k: 2, a: x, lda: 4, b: x + 8, ldb: 4, transposeB: true, c, ldc: 2 });
    expect([...machine.arena.view(c, 4)]).toEqual([11, 23, 39, 83]);
  });
});

it("computes e^x to a relative error of 4e-7", () => {
  const inputs = Float32Array.from({ length: 4000 }, (_, i) => -80 + i * 0.04);
  const [gate, up, y] = [
    put(machine, inputs),
    put(
      machine,
      inputs.map(() => 1),
    ),
    put(machine, inputs),
  ];
  machine.kernels.swiglu(gate, up, y, inputs.length); // g / (1 + e^(−g)) ≈ g e^g for very negative g
  machine.arena.view(y, inputs.length).forEach((value, i) => {
    const g = inputs[i]!;
    const expected = g / (1 + Math.exp(-g));
    expect(Math.abs(value - expected)).toBeLessThanOrEqual(4e-7 * Math.abs(expected) + 1e-38);
  });
});

it("shares a kernel among threads without changing a bit", () => {
  const [rows, width] = [301, 1003];
  const calls: Readonly<Record<string, (machine: Machine) => Float32Array>> = {
    addTo: (on) => run(on, [drawnOnce(0), drawnOnce(1)], 0, (k, [y, x]) => k.addTo(y!, x!, rows * width)),
    rmsNormBackward: (on) =>
      run(on, [drawnOnce(0), drawnOnce(1), drawnOnce(2), drawnOnce(3)], 3, (k, [x, w, scale, dy]) =>
        k.rmsNormBackward(x!, w!, scale!, dy!, dy!, 1, width, rows),
      ),
    sumRows: (on) => run(on, [drawnOnce(0), drawnOnce(1)], 1, (k, [dy, db]) => k.sumRows(dy!, db!, width, rows, width)),
    "sgemm by rows": (on) =>
      run(on, [drawnOnce(0), drawnOnce(1), drawnOnce(2)], 2, (_, [a, b, c]) =>
        on.multiply({
          m: rows,
          n: 50,
          k: 601,
          a: a!,
          lda: width,
          b: b!,
          ldb: 601,
          transposeB: true,
          c: c!,
          ldc: width,
        }),
      ),
    "sgemm by columns": (on) =>
      run(on, [drawnOnce(0), drawnOnce(1), drawnOnce(2)], 2, (_, [a, b, c]) =>
        on.multiply({
          m: 2,
          n: rows,
          k: width,
          a: a!,
          lda: width,
          b: b!,
          ldb: width,
          transposeB: true,
          c: c!,
          ldc: rows,
        }),
      ),
    causalSoftmax: (on) => run(on, [drawnOnce(0)], 0, (k, [s]) => k.causalSoftmax(s!, width, width, 700, 0.3, rows)),
    swigluBackward: (on) =>
      run(on, [drawnOnce(0), drawnOnce(1), drawnOnce(2)], 2, (k, [g, u, d]) =>
        k.swigluBackward(g!, u!, d!, rows * width),
      ),
  };
  const arrays = Array.from({ length: 4 }, () => drawn(rows * width));
  const drawnOnce = (index: number) => arrays[index]!;
  const run = (on: Machine, inputs: readonly Float32Array[], out: number, call: (k: Kernels, at: number[]) => void) => {
    const addresses = inputs.map((data) => put(on, data));
    call(on.kernels, addresses);
    const result = on.arena.view(addresses[out]!, rows * width).slice();
    for (const address of addresses) on.arena.free(address);
    return result;
  };
  for (const [name, call] of Object.entries(calls)) {
    expect(Buffer.compare(Buffer.from(call(two).buffer), Buffer.from(call(machine).buffer)), name).toBe(0);
  }
});
