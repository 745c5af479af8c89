import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { dequantiseQ4_0, dequantiseQ4_1, dequantiseQ4_K, dequantiseQ6_K, dequantiseQ8_0 } from "./dequantise.js";
import { GGUF_TYPES } from "./tensor-types.js";

const ONE = [0x00, 0x3c]; // 1 as a half
const HALF = [0x00, 0x38]; // 0.5
const TWO = [0x00, 0x40]; // 2

/** Runs a function over one block. */
const values = (decode: (bytes: Uint8Array, into: Float32Array) => void, bytes: readonly number[], size: number) => {
  const into = new Float32Array(size);
  decode(Uint8Array.from(bytes), into);
  return into;
};
const zeros = (count: number) => Array<number>(count).fill(0);

describe("a block of", () => {
  it("Q4_0 is d (q − 8)", () => {
    const x = values(dequantiseQ4_0, [...HALF, 0xf1, ...zeros(15)], 32);
    expect([x[0], x[16], x[1]]).toEqual([-3.5, 3.5, -4]); // 0.5 (1 − 8), 0.5 (15 − 8), 0.5 (0 − 8)
  });

  it("Q4_1 is d q + m", () => {
    const x = values(dequantiseQ4_1, [...HALF, ...TWO, 0xf1, ...zeros(15)], 32);
    expect([x[0], x[16], x[1]]).toEqual([2.5, 9.5, 2]); // 0.5 · 1 + 2, 0.5 · 15 + 2, 0.5 · 0 + 2
  });

  it("Q8_0 is d q", () => {
    const x = values(dequantiseQ8_0, [...HALF, 0x7f, 0x80, ...zeros(30)], 32);
    expect([x[0], x[1], x[2]]).toEqual([63.5, -64, 0]); // 0.5 · 127, 0.5 · −128
  });

  it("Q4_K is d · scale · q − dmin · min", () => {
    // scale_0 = 3, min_0 = 5; scale_4 = low 4 bits 9 | high 2 bits of byte 0 (0b10) = 0b10_1001 = 41; min_4 = 6 | 0b01 of byte 4 = 22
    const scales = [0b1000_0011, 0, 0, 0, 0b0100_0101, 0, 0, 0, 0x69, 0, 0, 0];
    const nibbles = zeros(128);
    nibbles[0] = 0x72; // element 0: 2; element 32: 7
    nibbles[64] = 0x04; // element 128: 4
    const x = values(dequantiseQ4_K, [...ONE, ...HALF, ...scales, ...nibbles], 256);
    // 1 · 3 · 2 − 0.5 · 5 = 3.5; sub-block 1 has scale 0 and min 0; 1 · 41 · 4 − 0.5 · 22 = 153; 0 − 11
    expect([x[0], x[1], x[32], x[128], x[129]]).toEqual([3.5, -2.5, 0, 153, -11]);
  });

  it("Q6_K is d · scale · (q − 32)", () => {
    const [low, high, scales] = [zeros(128), zeros(64), zeros(16)];
    low[0] = 0x5a; // row 0: 10; row 2: 5
    high[0] = 0b0010_0001; // row 0: 01; row 1: 00; row 2: 10
    [scales[0], scales[2], scales[4]] = [3, 1, 0xfe];
    const x = values(dequantiseQ6_K, [...low, ...high, ...scales, ...HALF], 256);
    // 0.5 · 3 · (26 − 32) = −9; 0.5 · 1 · (0 − 32) = −16; 0.5 · −2 · (37 − 32) = −5
    expect([x[0], x[32], x[64]]).toEqual([-9, -16, -5]);
  });
});

describe("random blocks", () => {
  const fixture = JSON.parse(readFileSync(new URL("data/blocks.json", import.meta.url), "utf8")) as Record<
    string,
    { bytes: string; values: string }
  >;
  const types = [...GGUF_TYPES.values()].filter(({ name }) => name !== "F32");

  it.each(types)(
    "of $name become what the Python package gguf makes of them, bit for bit",
    ({ name, decode, ...size }) => {
      const bytes = new Uint8Array(Buffer.from(fixture[name]!.bytes, "base64"));
      const into = new Float32Array((bytes.length / size.blockBytes) * size.blockElements);
      decode(bytes, into);
      expect(Buffer.from(into.buffer).toString("base64")).toBe(fixture[name]!.values);
    },
  );
});
