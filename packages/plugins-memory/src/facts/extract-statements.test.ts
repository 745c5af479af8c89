import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { extractStatements } from "./extract-statements.js";

const factsIn = (said: string) =>
  extractStatements(said).map((statement) =>
    statement.kind === "fact"
      ? statement.text
      : `${statement.kind}: ${"text" in statement ? statement.text : "slot" in statement ? statement.slot : ""}`,
  );

describe("extractStatements", () => {
  it.each([
    "my name is Ann",
    "My name is Ann.",
    "my name's Ann!",
    "I'm Ann",
    "I’m Ann.",
    "I am Ann.",
    "Hi, I'm Ann!",
    "Hello there, I am Ann, nice to meet you",
    "call me Ann",
    "Please call me Ann.",
    "You can call me Ann from now on",
    "By the way, my name is Ann, what can you do?",
    "I'm Ann and I need help",
    "I'm Ann, Bob's sister",
    "Everyone calls me Ann",
    "Please remember that my name is Ann",
    "please remember my name is Ann",
    "Don't forget that I'm Ann.",
    "What's 2+2? My name is Ann.",
    "No, my name is actually Ann",
  ])("reads the name in: %s", (said) => expect(factsIn(said)).toContain("The user's name is Ann."));

  it.each([
    ["My name is Ann Smith", "Ann Smith"],
    ["I'm Mary-Jane O'Brien.", "Mary-Jane O'Brien"],
    ["my name is Ludwig van Beethoven and I am deaf", "Ludwig van Beethoven"],
    ["my name is Žofia", "Žofia"],
    ["my name is 李明", "李明"],
    ["My name is Christian", "Christian"],
  ])("reads the whole name in: %s", (said, name) => expect(factsIn(said)).toEqual([`The user's name is ${name}.`]));

  it.each([
    "I'm confused",
    "I am not sure",
    "I'm Ann's brother",
    "I’m Ann’s brother.",
    "I am German",
    "I'm Sorry",
    "I'm IT support",
    "I'm Python developer",
    "I'm Ann Arbor born and bred",
    "What if I'm Ann?",
    "Do you think I'm Ann?",
    "She said I'm Ann",
    "If I'm Ann, who are you?",
    'The sentence "I am Ann" has three words.',
    "Call me back",
    "Call me Monday",
    "don't call me Ann",
    "my name is hard to spell",
    "What is my name?",
    "Is my name Ann?",
    "do you remember my name?",
    "Do you remember that I like tea?",
    "I remember that you like tea",
    "My question is how to sort a list",
    "My guess is 42",
    "Is my favourite colour blue?",
    "my favourite colour is what?",
    "If my father is right, we should go",
    "Remember to buy milk",
    "I forgot my name",
    "Did you forget my name?",
    "Never mind, forget it",
    "What is 3^17 mod 41?",
    "",
  ])("reads nothing in: %s", (said) => expect(factsIn(said)).toEqual([]));

  it.each([
    ["My favourite colour is blue.", ["The user's favourite colour is blue."]],
    ["my favorite color is now green", ["The user's favorite color is green."]],
    [
      "My wife's name is Eve and my dog is called Rex.",
      ["The user's wife's name is Eve.", "The user's dog is called Rex."],
    ],
    ["my hobbies are chess, go and tea", ["The user's hobbies are chess, go and tea."]],
    ["My city is St. Petersburg.", ["The user's city is St. Petersburg."]],
    ["My favourite number is 3.14, what's yours?", ["The user's favourite number is 3.14."]],
    ["My best friend is my sister", ["The user's best friend is their sister."]],
    ["my email is ann@example.org", ["The user's email is ann@example.org."]],
    ["I'm Ann, my favourite colour is blue", ["The user's name is Ann.", "The user's favourite colour is blue."]],
    ["My favourite colour is not blue", ["denial: The user's favourite colour is blue."]],
    ["My name isn't Ann", ["denial: The user's name is Ann."]],
    ["My name is not Ann, my name is Eve", ["denial: The user's name is Ann.", "The user's name is Eve."]],
  ])("reads what is said of the user in: %s", (said, facts) => expect(factsIn(said)).toEqual(facts));

  it.each([
    ["Please remember that I like tea.", "The user likes tea."],
    ["remember that I'm allergic to nuts", "The user is allergic to nuts."],
    ["Remember: I don't eat meat", "The user doesn't eat meat."],
    ["could you please remember that I never fly?", "The user never flies."],
    ["Remember that my wife and I can dance", "The user's wife and the user can dance."],
    ["remember that I went to Rome with my mother", "The user went to Rome with their mother."],
    ["Remember that the meeting is on Friday", "The meeting is on Friday."],
    ["don't forget that I watch birds", "The user watches birds."],
    ["please remember that you should call me by my first name", "You should call the user by their first name."],
  ])("keeps what is to be remembered, about the user, in: %s", (said, fact) => expect(factsIn(said)).toEqual([fact]));

  it.each([
    ["forget my name", "forget-slot: name"],
    ["Please forget my favorite color.", "forget-slot: favourite colour"],
    ["Could you forget that my dog is called Rex?", "forget-slot: dog"],
    ["forget that I like tea", "forget-text: The user likes tea."],
    ["Forget everything you know about me!", "forget-everything: "],
  ])("reads what is to be forgotten in: %s", (said, statement) => expect(factsIn(said)).toEqual([statement]));

  it("reads any text without failing, and quickly", () => {
    const words = fc.constantFrom(
      "my",
      "I",
      "I'm",
      "is",
      "name",
      "Ann",
      "remember",
      "that",
      "forget",
      ",",
      ".",
      "and",
      "?",
      "call me",
      "\n",
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(words, { maxLength: 80 }).map((said) => said.join(" ")),
        ),
        (said) => {
          for (const fact of factsIn(said).filter((told) => !told.startsWith("forget")))
            expect(fact).not.toMatch(/\b(?:my|I'm|myself)\b/u);
        },
      ),
      { numRuns: 2_000 },
    );
    for (const word of ["my a ", "I'm Ann ", "A-", "A'a", "and ", ", my ", "hi ", "Aa ", "please ", "I always "]) {
      expect(factsIn(word.repeat(5_000))).toBeInstanceOf(Array);
    }
  }, 10_000);
});
