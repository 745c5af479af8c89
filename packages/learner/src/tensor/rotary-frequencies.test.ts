import { describe, expect, it } from "vitest";
import { rotaryFrequencies, rotaryMagnitude, YARN_TURNS, yarnAttentionFactor } from "./rotary-frequencies.js";

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

  it("are kept, blended or divided by YaRN by their place between the pairs that turn 32 times and once", () => {
    const attention_factor = yarnAttentionFactor(4);
    const scaling = { rope_type: "yarn", factor: 4, ...YARN_TURNS, attention_factor } as const;
    // headDim 8, θ = 10000: pair j has ω = 10^−j and turns L / 2π 10^j times; d(r) = log10(L / 2πr)
    // L = 640π: d(32) = log10(10) = 1, d(1) = log10(320) = 2.505, so a = 1, b = 3: γ = 0, 0, 1/2, 1
    const context = 640 * Math.PI;
    const [first, second, third, fourth] = rotaryFrequencies(10_000, 8, {
      ...scaling,
      original_max_position_embeddings: context,
    });
    expect([first, second]).toEqual([1, 0.1]);
    expect(third).toBeCloseTo((0.01 + 0.0025) / 2, 12);
    expect(fourth).toBeCloseTo(0.00025, 12);
  });

  it("come with larger cosines and sines in YaRN alone", () => {
    const scaling = { rope_type: "yarn", factor: Math.E, ...YARN_TURNS, original_max_position_embeddings: 64 } as const;
    const attention_factor = yarnAttentionFactor(Math.E);
    expect(rotaryMagnitude({ ...scaling, attention_factor })).toBeCloseTo(1.1, 12); // 0.1 ln e + 1
    expect([yarnAttentionFactor(0.5), rotaryMagnitude(), rotaryMagnitude({ rope_type: "linear", factor: 4 })]).toEqual([
      1, 1, 1,
    ]);
  });
});
