import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  dequantiseIQ4_NL,
  dequantiseQ4_0,
  dequantiseQ4_1,
  dequantiseQ5_0,
  dequantiseQ5_1,
  dequantiseQ8_0,
} from "./dequantise.js";
import { dequantiseQ2_K, dequantiseQ3_K, dequantiseQ4_K, dequantiseQ5_K, dequantiseQ6_K } from "./dequantise-k.js";
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

  it("Q5_0 is d (q − 16)", () => {
    // fifth bits: of element 0 and of element 17, bit 1 of the third byte
    const x = values(dequantiseQ5_0, [...HALF, 0x01, 0, 0x02, 0, 0xf1, 0x20, ...zeros(14)], 32);
    // 0.5 (17 − 16), 0.5 (15 − 16), 0.5 (0 − 16), 0.5 (2 + 16 − 16)
    expect([x[0], x[16], x[1], x[17]]).toEqual([0.5, -0.5, -8, 1]);
  });

  it("Q5_1 is d q + m", () => {
    const x = values(dequantiseQ5_1, [...HALF, ...TWO, 0x01, 0, 0x02, 0, 0xf1, 0x20, ...zeros(14)], 32);
    expect([x[0], x[16], x[1], x[17]]).toEqual([10.5, 9.5, 2, 11]); // 0.5 · 17 + 2, 0.5 · 15 + 2, 2, 0.5 · 18 + 2
  });

  it("IQ4_NL is d times an uneven step", () => {
    const x = values(dequantiseIQ4_NL, [...HALF, 0xf8, ...zeros(15)], 32);
    expect([x[0], x[16], x[1]]).toEqual([0.5, 56.5, -63.5]); // steps 8, 15 and 0: 1, 113, −127
  });

  it("Q8_0 is d q", () => {
    const x = values(dequantiseQ8_0, [...HALF, 0x7f, 0x80, ...zeros(30)], 32);
    expect([x[0], x[1], x[2]]).toEqual([63.5, -64, 0]); // 0.5 · 127, 0.5 · −128
  });

  it("Q2_K is d · scale · q − dmin · min", () => {
    const [scales, q] = [zeros(16), zeros(64)];
    q[0] = 0b0011_0110; // rows 0 to 3: 2, 1, 3, 0
    [scales[0], scales[2], scales[4], scales[1]] = [0x53, 0x02, 0x01, 0x70];
    const x = values(dequantiseQ2_K, [...scales, ...q, ...ONE, ...HALF], 256);
    // 1 · 3 · 2 − 0.5 · 5; 1 · 2 · 1; 1 · 1 · 3; element 16 has scale 0 and min 7: −3.5
    expect([x[0], x[32], x[64], x[16]]).toEqual([3.5, 2, 3, -3.5]);
  });

  it("Q3_K is d · (scale − 32) · (q − 4)", () => {
    const [thirds, q, scales] = [zeros(32), zeros(64), zeros(12)];
    thirds[0] = 0b0000_0101; // rows 0 and 2
    q[0] = 0b0011_0110; // rows 0 to 3: 2, 1, 3, 0
    scales[0] = 0x43; // scale_0: 3 | high bits 10 of byte 8 → 35; scale_8: 4 | bits 4–5 of byte 8, 01 → 20
    scales[8] = 0b0001_0010;
    const x = values(dequantiseQ3_K, [...thirds, ...q, ...scales, ...HALF], 256);
    // 0.5 (35 − 32)(6 − 4) = 3; row 1 is 0.5 (0 − 32)(1 − 4) = 48; row 2 −16 (7 − 4) = −48; row 4: 0.5 (20 − 32)(0 − 4) = 24
    expect([x[0], x[32], x[64], x[128]]).toEqual([3, 48, -48, 24]);
  });

  it("Q5_K is Q4_K with a fifth bit", () => {
    const [fifths, nibbles] = [zeros(32), zeros(128)];
    const scales = [3, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]; // scale_0 = 3, min_0 = 5
    fifths[0] = 0b0000_0001;
    nibbles[0] = 0x72;
    const x = values(dequantiseQ5_K, [...ONE, ...HALF, ...scales, ...fifths, ...nibbles], 256);
    expect([x[0], x[1]]).toEqual([51.5, -2.5]); // 1 · 3 · (2 + 16) − 0.5 · 5; 0 − 2.5
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
