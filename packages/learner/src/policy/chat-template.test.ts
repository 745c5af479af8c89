import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Message, ToolDefinition } from "@afterstate/core";
import { describe, expect, it } from "vitest";
import { MODEL_FILES } from "../testing/model-files.js";
import { openChatTemplate } from "./chat-template.js";

interface TemplateMessage {
  readonly role: "system" | "user" | "assistant" | "tool";
  readonly content: string;
  readonly tool_calls?: readonly {
    readonly id: string;
    readonly function: { readonly name: string; arguments: unknown };
  }[];
}
interface Prompts {
  readonly tools: readonly { readonly function: { name: string; description: string; parameters: object } }[];
  readonly conversations: Readonly<Record<string, readonly TemplateMessage[]>>;
  readonly prompts: readonly { template: string; conversation: string; tools: boolean; prompt: string }[];
}

const data = (name: string) => fileURLToPath(new URL(`data/${name}`, import.meta.url));
const reference = JSON.parse(readFileSync(data("prompts.json"), "utf8")) as Prompts;
const TOOLS = reference.tools.map(({ function: { name, description, parameters } }) => ({
  name,
  description,
  inputSchema: parameters,
})) as unknown as readonly ToolDefinition[];

/** The conversation in our words; results belong to calls in their order. */
function messagesOf(conversation: string): readonly Message[] {
  const calls: { id: string; name: string }[] = [];
  return reference.conversations[conversation]!.map((message): Message => {
    const { role, content, tool_calls } = message;
    if (role === "tool") {
      const { id, name } = calls.shift()!;
      return { role, toolCallId: id, toolName: name, content };
    }
    if (role !== "assistant" || tool_calls === undefined) return { role, content };
    const toolCalls = tool_calls.map(({ id, function: { name, arguments: input } }) => ({ id, name, input }));
    calls.push(...toolCalls);
    return { role, content, toolCalls };
  });
}

const templates = [...new Set(reference.prompts.map(({ template }) => template))].map((template) => {
  const path = template.startsWith("meta-") ? `${MODEL_FILES}/llama.cpp/models/templates/${template}` : data(template);
  const absent = !existsSync(path);
  return {
    template,
    path,
    absent,
    name: `${template}${absent ? " (skipped: the file is absent; npm run models:test)" : ""}`,
  };
});

describe.each(templates)("the template $name", ({ template, path, absent }) => {
  const cases = reference.prompts.filter((prompt) => prompt.template === template);
  it.skipIf(absent).each(cases)("lays out $conversation, tools $tools, as Python does", (expected) => {
    const { render } = openChatTemplate(
      { chat_template: readFileSync(path, "utf8"), bos_token: "<BOS>", eos_token: "<EOS>" },
      [],
    );
    expect(render(messagesOf(expected.conversation), expected.tools ? TOOLS : [], true)).toBe(expected.prompt);
  });
});

describe("a template that knows no tools", () => {
  const { render } = openChatTemplate(
    { chat_template: readFileSync(data("smollm2-instruct.jinja"), "utf8"), eos_token: "<|im_end|>" },
    [],
  );

  it("gets them in a system message, and calls and results as text", () => {
    const prompt = render(messagesOf("calls"), TOOLS, true);
    expect(prompt).toContain(
      '<tools>[{"type": "function", "function": {"name": "calculator", "description": "Computes \\"exactly\\"',
    );
    expect(prompt).toContain(
      'assistant\nLet me see.<tool_call>[\n{"name": "now", "arguments": {}},\n{"name": "calculator", "arguments": {"expression": "1+1"}}\n]</tool_call><|im_end|>',
    );
    expect(prompt).toContain("<|im_start|>user\n<tool_response>\n12:00\n</tool_response><|im_end|>");
    expect(prompt.startsWith("<|im_start|>system\nYou are an expert in composing functions.")).toBe(true);
  });

  it("keeps the system message that there is", () => {
    expect(render(messagesOf("system"), TOOLS, true)).toContain(
      "<|im_start|>system\nBe brief.\nÜbe 'quotes' \"too\".\n\nYou are an expert",
    );
  });
});
