import { describe, expect, it } from "vitest";
import { withHint } from "./standing-hints.js";

const after = (...hints: string[]) => hints.reduce<readonly string[]>(withHint, []);

describe("wishes that stand", () => {
  it("are those of the last hints, the newest first", () => {
    expect(after("Just the number, please.", "Use my name. Use the calculator.")).toEqual([
      "Use the calculator.",
      "Use my name.",
      "Just the number, please.",
    ]);
  });

  it("give way to newer ones that say the same or the opposite", () => {
    expect(after("Use the calculator.", "Please use the calculator.")).toEqual(["Please use the calculator."]);
    expect(after("Use my name.", "Just the number, please.", "Don't use my name.")).toEqual([
      "Don't use my name.",
      "Just the number, please.",
    ]);
    expect(after("Just the number, please.", "Please answer in a full sentence.")).toEqual([
      "Please answer in a full sentence.",
    ]);
  });

  it("stay as they are when nobody asks for anything, and are never more than four", () => {
    expect(after("Use my name.", "")).toEqual(["Use my name."]);
    const many = after("Use my name.", "Use the calculator.", "Answer in English.", "Be polite.", "Keep it short.");
    expect(many).toHaveLength(4);
    expect(many).not.toContain("Use my name.");
  });
});
