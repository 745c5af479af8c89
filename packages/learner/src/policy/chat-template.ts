import type { Message, ToolDefinition } from "@afterstate/core";
import { Template } from "@huggingface/jinja";
import { type ToolCallFormat, toolCallFormatOf } from "./tool-call-format.js";

/** A model's chat template, ready to lay conversations out. */
export interface ChatTemplate {
  readonly format: ToolCallFormat;
  /** @param generate the policy is to speak next. */
  render(messages: readonly Message[], tools: readonly ToolDefinition[], generate: boolean): string;
}

/** Takes back the clock that the engine gives to templates: `strftime_now is defined` is false then. The line break goes with the tag. */
const NO_CLOCK = "{% set strftime_now = nothing_at_all %}\n";

/**
 * Opens a Jinja chat template, with what transformers gives to templates. No time is given: templates that print a date print their own.
 *
 * @param specials tokens that what people and tools say must not forge.
 * @throws Error of the template engine for a template that it cannot read.
 */
export function openChatTemplate(
  tokens: { readonly chat_template: string; readonly eos_token: string; readonly bos_token?: string },
  specials: readonly string[],
): ChatTemplate {
  const template = new Template(NO_CLOCK + tokens.chat_template);
  const format = toolCallFormatOf(tokens.chat_template);
  return {
    format,
    render: (messages, tools, generate) =>
      template.render({
        messages: format.arrange(messages, tools).map((message) => templateMessage(message, specials)),
        tools: tools.length === 0 ? null : tools.map(templateTool),
        add_generation_prompt: generate,
        bos_token: tokens.bos_token ?? "",
        eos_token: tokens.eos_token,
      }),
  };
}

/** A tool in the form that chat templates expect. */
function templateTool({ name, description, inputSchema }: ToolDefinition): object {
  return { type: "function", function: { name, description, parameters: inputSchema } };
}

/** A message in the form that chat templates expect. What people and tools say cannot forge a special token. */
function templateMessage(message: Message, specials: readonly string[]): object {
  const content = specials.reduce((text, special) => text.replaceAll(special, `‹${special.slice(1)}`), message.content);
  if (message.role !== "assistant" || (message.toolCalls ?? []).length === 0) return { role: message.role, content };
  const calls = message.toolCalls!.map(({ id, name, input, invalidInput }) => ({
    id,
    type: "function",
    function: { name, arguments: input ?? invalidInput ?? {} },
  }));
  return { role: "assistant", content, tool_calls: calls };
}
