import { describe, expect, it } from "vitest";
import { createRandom, mixSeed, systemSeed } from "./random.js";

describe("randomness", () => {
  it("is the same stream for the same seed, on every machine", () => {
    const random = createRandom(42);
    // mulberry32(42), computed by the reference implementation
    expect([random.next(), random.next(), random.next()]).toEqual([
      0.6011037519201636, 0.44829055899754167, 0.8524657934904099,
    ]);
  });

  it("mixes seeds by FNV-1a, so that neither order nor grouping collide", () => {
    expect(mixSeed("")).toBe(Math.imul(0x811c9dc5 ^ 0x7c, 0x01000193) >>> 0);
    expect(new Set([mixSeed(1, 2), mixSeed(2, 1), mixSeed(12), mixSeed("1", "2", "")]).size).toBe(4);
    expect(mixSeed(1, "a")).toBe(mixSeed("1", "a"));
  });

  it("draws seeds of 32 bits from the system", () => {
    const seed = systemSeed();
    expect(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32).toBe(true);
  });
});
