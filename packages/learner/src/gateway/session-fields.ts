import type { IncomingHttpHeaders } from "node:http";
import { quoted } from "./chat-messages.js";
import { badField } from "./gateway-error.js";

/** Which conversation a request belongs to, and what it is to it. */
export interface SessionFields {
  /** Absent: the conversation is recognised by its messages. */
  readonly sessionId?: string;
  /** Whether the session is learned from; anything but `main` is a side turn, such as finding a title. */
  readonly isMain: boolean;
  /** Whether nothing comes after it. */
  readonly isDone: boolean;
}

/**
 * Reads `X-Session-Id`, `X-Turn-Type` and `X-Session-Done`, or the fields `session_id`, `turn_type` and `session_done` of the body where
 * a header is not there.
 *
 * @throws GatewayError 400 for a value that is not one short word.
 */
export function sessionFields(headers: IncomingHttpHeaders, body: Readonly<Record<string, unknown>>): SessionFields {
  const read = (header: string, field: string, form: RegExp): string | undefined => {
    const name = headers[header] === undefined ? field : header;
    const value = headers[header] ?? body[field] ?? undefined;
    if (value === undefined) return undefined;
    const text = typeof value === "boolean" ? String(value) : value;
    if (typeof text === "string" && form.test(text)) return text;
    throw badField(name, `${name} has a form that is not taken: ${quoted(value)}`);
  };
  const sessionId = read("x-session-id", "session_id", /^[\w.:@-]{1,128}$/);
  const turnType = read("x-turn-type", "turn_type", /^[\w-]{1,32}$/) ?? "main";
  const done = read("x-session-done", "session_done", /^(1|0|true|false)$/i) ?? "0";
  return {
    ...(sessionId !== undefined && { sessionId }),
    isMain: turnType.toLowerCase() === "main",
    isDone: /^(1|true)$/i.test(done),
  };
}
