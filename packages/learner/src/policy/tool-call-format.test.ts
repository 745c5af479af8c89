import { readFileSync } from "node:fs";
import type { Message } from "@afterstate/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toolCallFormatOf } from "./tool-call-format.js";

const template = (name: string) => readFileSync(new URL(`data/${name}`, import.meta.url), "utf8");
const hermes = toolCallFormatOf(template("qwen2.5-instruct.jinja"));
const smollm2 = toolCallFormatOf(template("smollm2-instruct.jinja"));
const llama3 = toolCallFormatOf('Respond in the format {"name": …}\n{{- \'"parameters": \' }}');
const id = (index: number) => `call-${index}`;
const call = (index: number, name: string, input: unknown) => ({ id: id(index), name, input });

describe("the format of tool calls", () => {
  it("follows from the chat template", () => {
    expect([hermes.name, smollm2.name, llama3.name]).toEqual(["hermes", "smollm2", "llama3"]);
    expect(toolCallFormatOf(template("qwen3.jinja")).name).toBe("hermes");
    expect(toolCallFormatOf("{{ message.tool_calls }}").name).toBe("hermes");
    expect(toolCallFormatOf("a<|python_tag|>b").name).toBe("llama3");
  });

  it.each<[string, typeof hermes, string, string, readonly object[]]>([
    [
      "one call",
      hermes,
      '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>',
      "",
      [call(0, "f", { x: 1 })],
    ],
    [
      "text and several calls",
      hermes,
      'Let me see.\n<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>\n<tool_call>\n{"name": "g"}\n</tool_call>',
      "Let me see.",
      [call(0, "f", {}), call(1, "g", {})],
    ],
    [
      "a list of calls",
      smollm2,
      '<tool_call>[\n{"name": "f", "arguments": {"x": "]"}},\n{"name": "g", "arguments": {}}\n]</tool_call>',
      "",
      [call(0, "f", { x: "]" }), call(1, "g", {})],
    ],
    ["a call of Llama 3", llama3, '{"name": "f", "parameters": {"x": "}"}}', "", [call(0, "f", { x: "}" })]],
    [
      "calls of Llama 3",
      llama3,
      '{"name": "f", "parameters": {"x": 1}}; {"name": "g", "parameters": {}}\n{"type": "function", "name": "h", "parameters": {}}',
      "",
      [call(0, "f", { x: 1 }), call(1, "g", {}), call(2, "h", {})],
    ],
    [
      "a call behind the python tag",
      llama3,
      'So:<|python_tag|>{"name": "f", "parameters": {"x": 1}}',
      "So:",
      [call(0, "f", { x: 1 })],
    ],
    [
      "a built-in tool of Llama 3.1",
      llama3,
      '<|python_tag|>brave_search.call(query="Mozart, born (1756)", count=3)',
      "",
      [call(0, "brave_search", { query: "Mozart, born (1756)", count: 3 })],
    ],
    [
      "a built-in tool whose text is not escaped",
      llama3,
      '<|python_tag|>wolfram_alpha.call(query="a\nb")',
      "",
      [call(0, "wolfram_alpha", { query: "a\nb" })],
    ],
    ["a built-in tool without arguments", llama3, "<|python_tag|>clock.call()", "", [call(0, "clock", {})]],
  ])("reads %s", (_, format, text, content, toolCalls) => {
    expect(format.parse(text, id)).toEqual({ role: "assistant", content, toolCalls });
  });

  it.each<[string, typeof hermes, string, string]>([
    ["a call that is cut off", hermes, '<tool_call>\n{"name": "f", "argu', "f"],
    ["a call that is no JSON", hermes, "<tool_call>f(1)</tool_call>", ""],
    ["a list that is cut off", smollm2, '<tool_call>[{"name": "f"}, {', "f"],
    ["a call of Llama 3 that is cut off", llama3, '{"name": "f", "parameters": {"x": ', "f"],
    ["code behind the python tag", llama3, "<|python_tag|>print(1)", ""],
    ["a built-in tool that is cut off", llama3, '<|python_tag|>brave_search.call(query="Moz', ""],
  ])("keeps %s as invalid input, with its name where it can be read", (_, format, text, name) => {
    const [first, ...others] = format.parse(text, id).toolCalls!;
    expect(first).toMatchObject({ name, input: undefined, invalidInput: expect.any(String) });
    expect(others).toEqual([]);
  });

  it("leaves JSON that is no call as text", () => {
    const text = '{"name": "Ada", "age": 36}';
    expect(llama3.parse(text, id)).toEqual({ role: "assistant", content: text });
    expect(smollm2.parse("<tool_call>[]</tool_call>", id)).toEqual({ role: "assistant", content: "" });
  });

  it.each([hermes, smollm2, llama3])("$name reads any text without throwing", (format) => {
    const piece = fc.constantFrom(
      "<tool_call>",
      "</tool_call>",
      "[",
      '{"name": "f", "parameters": {',
      "}}",
      '"',
      ";",
      "<|python_tag|>",
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(piece, fc.string())), (pieces) => {
        const text = pieces.join("");
        const { content } = format.parse(text, id);
        // What streams is never taken back.
        for (let end = 0; end <= text.length; end++) {
          const shown = text.slice(0, format.textLength(text.slice(0, end)));
          expect(content.startsWith(shown) || format.parse(text, id).toolCalls === undefined).toBe(true);
        }
      }),
    );
  });

  it("lays several calls of a message out as Llama 3 must see them: each with its result", () => {
    const two: readonly Message[] = [
      { role: "assistant", content: "", toolCalls: [call(0, "f", {}), call(1, "g", {})] },
      { role: "tool", toolCallId: id(0), toolName: "f", content: "a" },
      { role: "tool", toolCallId: id(1), toolName: "g", content: "b" },
      { role: "user", content: "ok" },
    ];
    expect(
      llama3
        .arrange(two, [])
        .map((message) => (message.role === "assistant" ? message.toolCalls![0]!.name : message.content)),
    ).toEqual(["f", "a", "g", "b", "ok"]);
  });
});
