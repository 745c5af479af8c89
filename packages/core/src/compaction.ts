import type { Message } from "./message.js";

const CHARACTERS_PER_TOKEN = 4;

/** How full a compacted context may be, so that the next step does not compact again. */
const TARGET_SHARE = 0.75;

/** The length of a context in tokens, estimated from its characters. */
export function contextTokens(messages: readonly Message[]): number {
  let characters = 0;
  for (const message of messages) characters += charactersOf(message);
  return Math.ceil(characters / CHARACTERS_PER_TOKEN);
}

/**
 * The context without its oldest exchanges. What stays whatever the limit: pinned messages, the last user message with
 * the system messages around it, and the newest action with its tool results.
 *
 * @returns `messages` itself when it fits or nothing can go.
 */
export function compacted(messages: readonly Message[], maxTokens: number): readonly Message[] {
  let tokens = contextTokens(messages);
  if (tokens <= maxTokens) return messages;
  const removed = new Set<Message>();
  for (const exchange of exchanges(messages)) {
    if (tokens <= maxTokens * TARGET_SHARE) break;
    for (const message of exchange) removed.add(message);
    tokens -= contextTokens(exchange);
  }
  return removed.size === 0 ? messages : messages.filter((message) => !removed.has(message));
}

/**
 * What may go, oldest first: whole earlier exchanges (what was said to the policy, and all it did about it), then the
 * earlier steps of the current one (an assistant message with its tool results).
 */
function exchanges(messages: readonly Message[]): Message[][] {
  const earlier: Message[][] = [];
  let said: Message[] = [];
  let steps: Message[][] = [];
  for (const message of messages) {
    if (message.role === "assistant") steps.push([message]);
    else if (message.role === "tool") steps.at(-1)?.push(message);
    else {
      if (steps.length > 0) {
        earlier.push([...said.filter((one) => !isPinned(one)), ...steps.flat()]);
        said = [];
        steps = [];
      }
      said.push(message);
    }
  }
  return [...earlier, ...steps.slice(0, -1)];
}

const isPinned = (message: Message) => message.role === "system" && message.pinned === true;

function charactersOf(message: Message): number {
  const calls = message.role === "assistant" && message.toolCalls ? JSON.stringify(message.toolCalls).length : 0;
  return message.content.length + calls;
}
