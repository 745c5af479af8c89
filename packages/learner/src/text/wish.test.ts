import { describe, expect, it } from "vitest";
import { FORMAT_REQUESTS, NAME_REQUESTS, TOOL_REQUESTS } from "../environments/homework/phrases.js";
import { personalContent } from "./personal-content.js";
import { contradicts, isSameWish, type Wish, wishesOf } from "./wish.js";

const wish = (text: string): Wish => wishesOf(text)[0]!;
const groups = [
  FORMAT_REQUESTS.bare,
  FORMAT_REQUESTS.sentence,
  FORMAT_REQUESTS.working,
  NAME_REQUESTS.with,
  NAME_REQUESTS.without,
  TOOL_REQUESTS.with,
  TOOL_REQUESTS.without.slice(0, 1),
  ["Keep it short.", "Be brief, please.", "Shorter answers, please.", "I'd like it more concise."],
  ["Answer in English.", "In English, please.", "Use English."],
  ["Give me bullet points.", "Use bullets, please."],
];

describe("wishes", () => {
  it("come to what they want, without filler, with synonyms folded", () => {
    expect(wishesOf("Just the number, please. Use my name.")).toEqual([
      { text: "Just the number, please.", topic: "form", terms: ["only", "number"] },
      { text: "Use my name.", topic: "address", terms: ["name"] },
    ]);
    expect(wish("No sentence, just the result.").terms).toEqual(["-sentence", "only", "number"]);
    expect(wish("You never use my name.").terms).toEqual(["name"]);
  });

  it("in other words are the same, and those of one topic that are not the same contradict", () => {
    for (const [i, group] of groups.entries())
      for (const [j, others] of groups.entries())
        for (const a of group.map(wish))
          for (const b of others.map(wish)) {
            expect([a.text, b.text, isSameWish(a, b)]).toEqual([a.text, b.text, i === j]);
            if (i !== j) expect([a.text, b.text, contradicts(a, b)]).toEqual([a.text, b.text, a.topic === b.topic]);
          }
  });

  it("outside the known topics contradict only when one wants what the other does not", () => {
    const [dates, noDates, delivery] = ["Mention the date.", "Don't mention the date.", "Mention the delivery."].map(
      wish,
    );
    expect([contradicts(dates!, noDates!), contradicts(dates!, delivery!)]).toEqual([true, false]);
  });

  it("are not what is to be done once", () => expect(wishesOf("Check it again, please.")).toEqual([]));
});

it.each([
  ["Send it to ann@example.org.", "an e-mail address"],
  ["Round to 2 decimals.", "a number"],
  ["Please call me Anna.", "a name"],
  ["Look at www.example.org first.", "a web address"],
  ["Answer in English, please.", undefined],
  ["Just the number, please. Use my name.", undefined],
])("finds what is personal in %j: %s", (text, found) => expect(personalContent(text)).toBe(found));
