import { describe, expect, it } from "vitest";
import { parseOptions } from "./options.js";

describe("the options of npx afterstate serve", () => {
  it("are what is said, keys from the environment among them", () => {
    const args = ["serve", "--key", "one-key-here", "--port", "0", "--learner", "reward", "--try", "Be brief."];
    expect(parseOptions(args, { AFTERSTATE_KEYS: "second-key, third-key" })).toEqual({
      kind: "run",
      options: {
        keys: ["one-key-here", "second-key", "third-key"],
        port: 0,
        host: "127.0.0.1",
        learner: "reward",
        tries: ["Be brief."],
        rank: 16,
        seed: 1,
      },
    });
    const upstream = ["serve", "--upstream", "http://127.0.0.1:1/v1", "--model", "embedded"];
    expect(parseOptions(upstream, {})).toMatchObject({ options: { model: "embedded", keys: [] } });
    expect(parseOptions(["serve", "--model", "embedded"], {})).not.toHaveProperty("options.model");
  });

  it.each([
    [["serve", "--port", "none"], "--port takes a whole number from 0 to 65535"],
    [["serve", "--learner", "often"], "--learner takes off, reward, hints, hybrid"],
    [["serve", "--upstream", "http://127.0.0.1:1"], "--upstream needs the name of a model"],
    [["serve", "--upstream", "nowhere", "--model", "m"], "--upstream takes a URL"],
    [["serve", "--try", "a", "--try", "a"], "--try takes texts that are not empty and all different"],
    [["serve", "--try", "a", "--learner", "off"], "--try goes with a --learner that is not off"],
    [["serve", "--rank", "4"], "--rank goes with a --model"],
    [["serve", "--data", ""], "--data takes no empty text"],
    [["serve", "--what"], "--what"],
    [["server"], 'there is no command "server"'],
    [[], "afterstate needs a command"],
  ])("%j are refused with one sentence", (args, sentence) => {
    expect(() => parseOptions(args, {})).toThrow(
      expect.objectContaining({ code: "serve/bad-option", message: expect.stringContaining(sentence) }),
    );
  });
});
