import { expect, it } from "vitest";
import { AS_IS, instructionDecision } from "./instruction-decision.js";

const request = { messages: [{ role: "user", content: "48/2?" }], tools: [], seed: 1 } as const;

it("says the instruction that was chosen behind what the user said, or nothing", () => {
  const { apply, alternatives } = instructionDecision(["Be brief."]);
  expect(alternatives).toEqual([AS_IS, "Be brief."]);
  expect(apply("Be brief.", request).messages).toEqual([{ role: "user", content: "48/2? Be brief." }]);
  expect(apply(AS_IS, request)).toBe(request);
});

it.each([[[]], [[" "]], [["Be brief.", "Be brief."]], [[AS_IS]]])("refuses %j", (instructions) => {
  expect(() => instructionDecision(instructions)).toThrow("not empty and all different");
});
