import { describe, expect, it } from "vitest";
import type { ModelRequest } from "../model.js";
import { scriptedModel } from "./scripted-model.js";

const request: ModelRequest = { messages: [{ role: "user", content: "hi" }], tools: [], seed: 1 };
const never = { signal: new AbortController().signal };

describe("scriptedModel", () => {
  it("says what the script says, and notes the requests", async () => {
    const model = scriptedModel(["one", ({ seed }) => `seed ${seed}`, { toolCalls: [{ name: "t" }] }]);
    const contents: string[] = [];
    for (let call = 0; call < 3; call++) {
      const { message, finishReason } = await model.generate(request, never).response();
      contents.push(`${message.content} ${finishReason}`);
    }
    expect(contents).toEqual(["one stop", "seed 1 stop", " tool-calls"]);
    expect(model.requests).toEqual([request, request, request]);
    model.assertExhausted();
  });

  it("fails on a call that the script does not have, then and at the end", async () => {
    const model = scriptedModel([]);
    const message = "the scripted model was called 1 times; its script has 0 responses";
    await expect(model.generate(request, never).response()).rejects.toMatchObject({ code: "model/failed", message });
    expect(() => model.assertExhausted()).toThrow(message);
  });

  it("fails at the end when responses are left", () => {
    expect(() => scriptedModel(["one"]).assertExhausted()).toThrow("was called 0 times; its script has 1 responses");
  });

  it("fails the iteration and the response alike, after the text before the failure", async () => {
    const stream = scriptedModel([{ text: "Hel", error: new Error("down") }]).generate(request, never);
    const parts: unknown[] = [];
    const iterate = async () => {
      for await (const part of stream) parts.push(part);
    };
    await expect(iterate()).rejects.toThrow("down");
    await expect(stream.response()).rejects.toThrow("down");
    expect(parts).toEqual([{ type: "text-delta", text: "Hel" }]);
  });
});
