import type { Message, ToolCall } from "./message.js";
import type { Session } from "./session.js";
import type { NextState, ToolResult } from "./step.js";

/** What a context that the caller gives holds beyond the one that the session's last step left. */
export interface ContextChange {
  /** Whether it is something else than the session's context with more at its end. */
  readonly replaced: boolean;
  /** What came after the pending step's action; empty where there is none, or the context does not hold its action any more. */
  readonly nextStates: readonly NextState[];
  /** Whether the user spoke since, as far as can be told. */
  readonly userSpoke: boolean;
}

/** Compares a context with what a session knows. */
export function contextChange(session: Session, messages: readonly Message[]): ContextChange {
  const known = session.messages;
  const extended = known.length <= messages.length && known.every((message, i) => isSame(message, messages[i]!));
  const replaced = known.length > 0 && (!extended || session.closed);
  if (session.pending === undefined) {
    const added = extended ? messages.slice(known.length) : messages;
    return { replaced, nextStates: [], userSpoke: added.some(({ role }) => role === "user") };
  }
  const place = extended ? known.length - 1 : placeOfLast(known, messages);
  if (place === undefined) return { replaced, nextStates: [], userSpoke: true };
  const after = untilNextAction(messages.slice(place + 1));
  return { replaced, nextStates: nextStatesOf(after), userSpoke: after.some(({ role }) => role === "user") };
}

/** Where the session's last message stands in a context that was edited: after the same message as before, white space aside. */
function placeOfLast(known: readonly Message[], messages: readonly Message[]): number | undefined {
  const [before, last] = [known.at(-2), known.at(-1)!];
  const place = messages.findLastIndex(
    (message, i) =>
      isSame(trimmed(message), trimmed(last)) &&
      (before === undefined || (i > 0 && isSame(trimmed(messages[i - 1]!), trimmed(before)))),
  );
  return place < 0 ? undefined : place;
}

/** Up to the next action. An empty response leaves no message in a session, but may in the caller's context. */
function untilNextAction(messages: readonly Message[]): readonly Message[] {
  const isEmpty = (message: Message) =>
    message.role === "assistant" && message.content === "" && !message.toolCalls?.length;
  const said = messages[0] && isEmpty(messages[0]) ? messages.slice(1) : messages;
  const next = said.findIndex(({ role }) => role === "assistant");
  return next < 0 ? said : said.slice(0, next);
}

function nextStatesOf(after: readonly Message[]): readonly NextState[] {
  const results = after.flatMap((message): ToolResult[] => {
    if (message.role !== "tool") return [];
    const { toolCallId: callId, toolName, content, isError = false } = message;
    return [{ callId, toolName, content, isError, durationMs: 0 }];
  });
  const said = after.flatMap((message) => (message.role === "user" ? [message.content] : []));
  return [
    ...(results.length > 0 ? [{ kind: "tool", results } as const] : []),
    ...(said.length > 0 ? [{ kind: "user", text: said.join("\n\n") } as const] : []),
  ];
}

function isSame(a: Message, b: Message): boolean {
  if (a.role !== b.role || a.content !== b.content) return false;
  if (a.role === "tool") return a.toolCallId === (b as typeof a).toolCallId;
  if (a.role !== "assistant") return true;
  const [calls, others] = [a.toolCalls ?? [], (b as typeof a).toolCalls ?? []];
  return calls.length === others.length && calls.every((call, i) => isSameCall(call, others[i]!));
}

function isSameCall(a: ToolCall, b: ToolCall): boolean {
  const text = ({ input, invalidInput }: ToolCall) => invalidInput ?? JSON.stringify(input);
  return a.id === b.id && a.name === b.name && text(a) === text(b);
}

const trimmed = (message: Message): Message => ({ ...message, content: message.content.trim() });
