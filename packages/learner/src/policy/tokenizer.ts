import { AgentError, type AssistantMessage, type Message, type ToolCall, type ToolDefinition } from "@afterstate/core";
import { Template } from "@huggingface/jinja";
import { Tokenizer } from "@huggingface/tokenizers";

/** By default the library drops special tokens and spaces before punctuation. */
const EXACTLY = { skip_special_tokens: false, clean_up_tokenization_spaces: false };

/** Text to token ids and back, with the chat protocol of a policy. */
export interface PolicyTokenizer {
  readonly vocabSize: number;
  /** Ends a response. */
  readonly endId: number;
  /** The prompt of a request, up to where the policy starts to write. */
  encodePrompt(messages: readonly Message[], tools: readonly ToolDefinition[]): readonly number[];
  /** A whole conversation, and which tokens the policy would have written (its responses and their ends). */
  encodeConversation(messages: readonly Message[]): {
    readonly ids: readonly number[];
    readonly mask: readonly number[];
  };
  /** The text of sampled ids, special tokens included as text except the end. */
  decode(ids: readonly number[]): string;
}

/** The files of a Hugging Face folder that make a tokenizer. */
export interface TokenizerFiles {
  readonly tokenizer: object;
  readonly tokenizerConfig: { readonly chat_template: string; readonly eos_token: string };
}

/** Opens `tokenizer.json` and the chat template of `tokenizer_config.json`. @throws AgentError `checkpoint/mismatch`. */
export function openTokenizer({ tokenizer: json, tokenizerConfig }: TokenizerFiles): PolicyTokenizer {
  const tokenizer = new Tokenizer(json, tokenizerConfig);
  const template = new Template(tokenizerConfig.chat_template);
  const endId = tokenizer.token_to_id(tokenizerConfig.eos_token);
  if (endId === undefined) {
    throw new AgentError(
      "checkpoint/mismatch",
      `the tokenizer has no token "${tokenizerConfig.eos_token}", which its configuration names as the end`,
    );
  }
  const added = [...tokenizer.get_added_tokens_decoder().values()];
  const specials = added.flatMap(({ special, content }) => (special ? [content] : []));
  const encode = (text: string): readonly number[] => tokenizer.encode(text, { add_special_tokens: false }).ids;
  const render = (messages: readonly Message[], tools: readonly ToolDefinition[], generate: boolean): string =>
    template.render({
      messages: messages.map((message) => templateMessage(message, specials)),
      tools: tools.map(({ name, description, inputSchema }) => ({
        type: "function",
        function: { name, description, parameters: inputSchema },
      })),
      add_generation_prompt: generate,
    });

  return {
    vocabSize: Math.max(...tokenizer.get_vocab().values()) + 1,
    endId,
    encodePrompt: (messages, tools) => encode(render(messages, tools, true)),
    encodeConversation(messages) {
      const ids: number[] = [];
      const mask: number[] = [];
      const add = (text: string, own: 0 | 1) => {
        const encoded = encode(text);
        ids.push(...encoded);
        mask.push(...encoded.map(() => own));
      };
      let done = 0;
      messages.forEach(({ role }, index) => {
        const text = render(messages.slice(0, index + 1), [], false);
        if (role === "assistant") {
          const start = render(messages.slice(0, index), [], true).length;
          add(text.slice(done, start), 0);
          done = start;
        }
        add(text.slice(done), role === "assistant" ? 1 : 0);
        done = text.length;
      });
      return { ids, mask };
    },
    decode(ids) {
      const end = ids.indexOf(endId);
      const text = end === -1 ? [...ids] : ids.slice(0, end);
      return text.length === 0 ? "" : tokenizer.decode(text, EXACTLY);
    },
  };
}

/** A message in the form that chat templates expect. What people and tools say cannot forge a special token. */
function templateMessage(message: Message, specials: readonly string[]): object {
  const content = specials.reduce((text, special) => text.replaceAll(special, `‹${special.slice(1)}`), message.content);
  if (message.role !== "assistant" || message.toolCalls === undefined) return { role: message.role, content };
  const calls = message.toolCalls.map(({ id, name, input, invalidInput }) => ({
    id,
    type: "function",
    function: { name, arguments: input ?? invalidInput ?? {} },
  }));
  return { role: "assistant", content, tool_calls: calls };
}

const OPEN = "<tool_call>";
const CLOSE = "</tool_call>";

/** Reads text and Hermes tool calls (`<tool_call>{"name": …, "arguments": …}</tool_call>`) off a response. */
export function parseResponse(text: string, callId: (index: number) => string): AssistantMessage {
  const toolCalls: ToolCall[] = [];
  let content = "";
  let rest = text;
  for (;;) {
    const start = rest.indexOf(OPEN);
    if (start === -1) break;
    content += rest.slice(0, start);
    const end = rest.indexOf(CLOSE, start);
    const body = rest.slice(start + OPEN.length, end === -1 ? undefined : end);
    toolCalls.push(parseCall(body, callId(toolCalls.length)));
    rest = end === -1 ? "" : rest.slice(end + CLOSE.length);
  }
  content += rest;
  return { role: "assistant", content, ...(toolCalls.length > 0 ? { toolCalls } : {}) };
}

function parseCall(body: string, id: string): ToolCall {
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed === "object" && parsed !== null && "name" in parsed && typeof parsed.name === "string") {
      return { id, name: parsed.name, input: "arguments" in parsed ? parsed.arguments : {} };
    }
  } catch {
    // Not JSON: told to the policy as invalid input.
  }
  const name = body.match(/"name"\s*:\s*"([^"]*)"/)?.[1] ?? "";
  return { id, name, input: undefined, invalidInput: body };
}
