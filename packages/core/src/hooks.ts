import type { ToolCall } from "./message.js";
import type { ModelRequest } from "./model.js";
import type { ToolResult } from "./step.js";

/** What a hook before a tool call decides. Returning nothing lets the call through. */
export type ToolCallVerdict =
  | { readonly kind: "rewrite"; readonly input: unknown }
  | { readonly kind: "block"; readonly reason: string }
  | { readonly kind: "ask"; readonly reason: string };

/**
 * Hooks decide; events only tell. Hooks run in plugin order, each sees what the one before made of it.
 * A hook that throws blocks the call it judged (it never fails open).
 */
export interface AgentHooks {
  /** May return another request. */
  beforeModel?(context: {
    readonly request: ModelRequest;
    readonly sessionId: string;
  }): ModelRequest | undefined | Promise<ModelRequest | undefined>;
  /** May rewrite, block or ask a person. */
  beforeToolCall?(context: {
    readonly call: ToolCall;
    readonly sessionId: string;
  }): ToolCallVerdict | undefined | Promise<ToolCallVerdict | undefined>;
  /** May return another result. */
  afterToolResult?(context: {
    readonly call: ToolCall;
    readonly result: ToolResult;
    readonly sessionId: string;
  }): ToolResult | undefined | Promise<ToolResult | undefined>;
}
