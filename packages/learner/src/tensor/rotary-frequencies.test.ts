import { describe, expect, it } from "vitest";
import { rotaryFrequencies } from "./rotary-frequencies.js";

describe("rotary frequencies", () => {
  it("fall geometrically from 1", () => {
    // 10000^(0), 10000^(−1/2)
    expect([...rotaryFrequencies(10_000, 4)]).toEqual([1, 0.01]);
  });

  it("are divided by the factor of linear scaling", () => {
    expect([...rotaryFrequencies(10_000, 4, { rope_type: "linear", factor: 4 })]).toEqual([0.25, 0.0025]);
  });

  it("are kept, blended or divided as Llama 3.1 does by how often a pair turns over the first context", () => {
    const scaling = { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4 } as const;
    // context 500: turns of ω = 1 are 79.6 (kept), of ω = 0.01 are 0.796 (divided by 8)
    expect([...rotaryFrequencies(10_000, 4, { ...scaling, original_max_position_embeddings: 500 })]).toEqual([
      1, 0.00125,
    ]);
    // context 400π: 200 and 2 turns; t = (2 − 1)/(4 − 1) = 1/3: 2/3 · 0.00125 + 1/3 · 0.01 = 0.0041667
    const [, blended] = rotaryFrequencies(10_000, 4, { ...scaling, original_max_position_embeddings: 400 * Math.PI });
    expect(blended).toBeCloseTo(0.00125 * (2 / 3) + 0.01 / 3, 12);
  });
});
