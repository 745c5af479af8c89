import { describe, expect, it } from "vitest";
import { readHierarchyTags, valuesOfTokens } from "./token-spans.js";

describe("what a turn says about its subgoal", () => {
  it("is read off its tags", () => {
    const text = "hm <switch> switch </switch><subgoal>find the door</subgoal><action>go north</action>";
    const { switched, subgoal, spans } = readHierarchyTags(text);
    expect([switched, subgoal]).toEqual([true, "find the door"]);
    expect(spans.map(({ start, end, value }) => [value, text.slice(start, end)])).toEqual([
      ["switch", "<switch> switch </switch>"],
      ["subgoal", "<subgoal>find the door</subgoal>"],
      ["action", "<action>go north</action>"],
    ]);
  });

  it("is to keep it where there is no switch, and an action where there is no tag", () => {
    expect(readHierarchyTags("<subgoal>x</subgoal>").switched).toBe(false);
    expect(readHierarchyTags("go")).toEqual({ switched: false, spans: [{ start: 0, end: 2, value: "action" }] });
  });
});

describe("tokens of spans", () => {
  // Ids are their own texts; 0 writes nothing, as the end of a response does.
  const TEXTS = ["", "ab", "c", "def"];
  const decode = (ids: readonly number[]) => ids.map((id) => TEXTS[id]).join("");

  it("take the value of the span that they begin in", () => {
    // ab|c|def|c: characters 0–1, 2, 3–5, 6
    const spans = [
      { start: 1, end: 3, value: "x" },
      { start: 3, end: 4, value: "y" },
    ];
    expect(valuesOfTokens([1, 2, 3, 2], decode, spans, "other")).toEqual(["other", "x", "y", "other"]);
  });

  it("that write nothing belong to what they follow", () => {
    expect(valuesOfTokens([2, 0], decode, [{ start: 0, end: 1, value: 1 }], 0)).toEqual([1, 1]);
    expect(valuesOfTokens([0, 2], decode, [{ start: 0, end: 1, value: 1 }], 0)).toEqual([1, 1]);
  });
});
