import { describe, expect, it } from "vitest";
import { type DemoOptions, parseOptions } from "./options.js";

const options = (...args: string[]): DemoOptions => {
  const parsed = parseOptions(args);
  if (parsed.kind !== "run") throw new Error("expected options");
  return parsed.options;
};

describe("parseOptions", () => {
  it("has a default for everything", () => {
    expect(options()).toMatchObject({ json: false, exit: false, chat: false, control: false, learner: "hybrid" });
    expect(options()).not.toHaveProperty("port");
    expect(options()).not.toHaveProperty("data");
  });

  it("reads every option", () => {
    const args = "--json --exit --chat --seed 7 --minutes 2.5 --sessions 40 --learner reward --port 8080 --data here";
    expect(options(...args.split(" "))).toEqual({
      json: true,
      exit: true,
      chat: true,
      rank: 16,
      seed: 7,
      minutes: 2.5,
      sessions: 40,
      learner: "reward",
      control: false,
      port: 8080,
      data: "here",
    });
    expect(options("--control", "shuffled-votes").control).toBe(true);
    expect(options("--model", "a/b", "--rank", "4")).toMatchObject({ model: "a/b", rank: 4, chat: true });
  });

  it("prints every option under --help", () => {
    const parsed = parseOptions(["--help"]);
    for (const name of "chat model rank exit json seed sessions minutes learner control port data".split(" ")) {
      expect(parsed).toMatchObject({ kind: "help", text: expect.stringContaining(`--${name}`) });
    }
  });

  it.each([
    [["--nonsense"], "there is no option --nonsense; see npm start -- --help"],
    [["nonsense"], '"nonsense" is not an option; see npm start -- --help'],
    [["--seed"], "--seed needs a value; see npm start -- --help"],
    [["--seed", "--exit"], "--seed needs a value; see npm start -- --help"],
    [["--json=yes"], "--json takes no value; see npm start -- --help"],
    [["--seed", "x"], '--seed takes a whole number from 0 to 4294967295, not "x"; see npm start -- --help'],
    [["--sessions", "0"], '--sessions takes a whole number from 1 to 1000000, not "0"; see npm start -- --help'],
    [["--port", "70000"], '--port takes a whole number from 1 to 65535, not "70000"; see npm start -- --help'],
    [["--minutes", "0"], '--minutes takes a number above 0, not "0"; see npm start -- --help'],
    [["--learner", "on"], '--learner takes off, reward, hints, hybrid, not "on"; see npm start -- --help'],
    [["--control", "x"], '--control takes shuffled-votes, not "x"; see npm start -- --help'],
    [["--rank", "4"], "--rank goes with --model; see npm start -- --help"],
    [["--model", "m", "--rank", "0"], '--rank takes a whole number from 1 to 256, not "0"; see npm start -- --help'],
    [["--model", "m", "--control", "shuffled-votes"], "--control goes with simulated users, not with --model"],
    [["--model", ""], "--model takes a folder, a .gguf file or a Hugging Face id, not an empty text"],
    [["--data", ""], "--data takes a folder, not an empty text; see npm start -- --help"],
  ])("refuses %j in one sentence", (args, sentence) => {
    expect(() => parseOptions(args)).toThrow(sentence);
    expect(() => parseOptions(args)).toThrow(expect.objectContaining({ code: "demo/bad-option" }));
  });
});
