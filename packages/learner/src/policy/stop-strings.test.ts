import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { beforeAny, cutAtStop } from "./stop-strings.js";

describe("stop strings", () => {
  it("cut a text before the first of them", () => {
    expect(cutAtStop("one two three", ["three", "two"])).toBe("one ");
    expect(cutAtStop("one two", ["three"])).toBeUndefined();
    expect(cutAtStop("one", [])).toBeUndefined();
  });

  it("hold back what might be the beginning of one", () => {
    expect(beforeAny("a\n", ["\n\nQ:"])).toBe(1);
    expect(beforeAny("a\n\nQ", ["\n\nQ:", "Q!"])).toBe(1);
    expect(beforeAny("a\n\nR", ["\n\nQ:"])).toBe(4);
    expect(beforeAny("any", [])).toBe(3);
  });

  it("never let a character out that is cut later", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 12 });
    const stops = fc.array(fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 4 }), {
      maxLength: 3,
    });
    fc.assert(
      fc.property(text, stops, fc.nat(12), (whole, strings, length) => {
        const kept = cutAtStop(whole, strings) ?? whole;
        expect(kept.startsWith(whole.slice(0, beforeAny(whole.slice(0, length), strings)))).toBe(true);
      }),
    );
  });
});
