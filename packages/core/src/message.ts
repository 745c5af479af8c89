/** One message of a conversation. Plain data; what the policy sees is a list of these. */
export type Message = SystemMessage | UserMessage | AssistantMessage | ToolMessage;

/** Instructions, recalled memories or a plan: text that neither the user nor the policy wrote. */
export interface SystemMessage {
  readonly role: "system";
  readonly content: string;
  /** Survives compaction. */
  readonly pinned?: boolean;
}

/** What the user said. */
export interface UserMessage {
  readonly role: "user";
  readonly content: string;
}

/** What the policy emitted: text, tool calls, or both. */
export interface AssistantMessage {
  readonly role: "assistant";
  readonly content: string;
  readonly toolCalls?: readonly ToolCall[];
}

/** The result of one tool call. */
export interface ToolMessage {
  readonly role: "tool";
  readonly toolCallId: string;
  readonly toolName: string;
  readonly content: string;
  readonly isError?: boolean;
}

/** A request of the policy to run a tool. */
export interface ToolCall {
  readonly id: string;
  readonly name: string;
  /** The parsed arguments. `undefined` when the policy's text was not JSON; `invalidInput` then holds that text. */
  readonly input: unknown;
  readonly invalidInput?: string;
}
