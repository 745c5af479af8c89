import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { AbortWatch } from "./abort-watch.js";
import type { Clock } from "./clock.js";
import { AgentError, messageOf } from "./errors.js";
import type { AgentHooks } from "./hooks.js";
import type { ToolCall } from "./message.js";
import type { ToolResult } from "./step.js";
import type { AnyTool, ToolSet } from "./tool-set.js";

/** A tool call that has been judged: ready to run, answered already, or waiting for a person. */
export type PreparedCall =
  | { readonly kind: "ready"; readonly call: ToolCall; readonly tool: AnyTool; readonly input: unknown }
  | { readonly kind: "answered"; readonly call: ToolCall; readonly result: ToolResult }
  | {
      readonly kind: "ask";
      readonly call: ToolCall;
      readonly reason: string;
      readonly tool: AnyTool;
      readonly input: unknown;
    };

/** What tool calls run with. */
export interface ToolRun {
  readonly tools: ToolSet;
  readonly beforeToolCall: readonly NonNullable<AgentHooks["beforeToolCall"]>[];
  readonly watch: AbortWatch;
  readonly clock: Clock;
  readonly sessionId: string;
  readonly userId: string | undefined;
  readonly onProgress: (callId: string, progress: unknown) => void;
}

/** Judges a call: hooks, then the tool's schema, then whether a person must approve. Never rejects. */
export async function prepareCall(original: ToolCall, run: ToolRun): Promise<PreparedCall> {
  const tool = run.tools.byName.get(original.name);
  if (!tool) return answered(original, "tool/unknown", unknownTool(original.name, run.tools));
  let call = original;
  let reason: string | undefined;
  for (const hook of run.beforeToolCall) {
    try {
      const verdict = await hook({ call, sessionId: run.sessionId });
      if (verdict?.kind === "block") return answered(call, "tool/blocked", `the call was blocked: ${verdict.reason}`);
      if (verdict?.kind === "rewrite") call = { id: call.id, name: call.name, input: verdict.input };
      if (verdict?.kind === "ask") reason ??= verdict.reason;
    } catch (cause) {
      return answered(call, "hook/failed", `the call was blocked, because a hook failed: ${messageOf(cause)}`);
    }
  }
  if (call.invalidInput !== undefined) {
    const what = `the arguments of "${call.name}" are not JSON: ${call.invalidInput.slice(0, 200)}`;
    return answered(call, "tool/invalid-input", what);
  }
  try {
    const validated = tool.input["~standard"].validate(call.input);
    const outcome = validated instanceof Promise ? await validated : validated;
    if (outcome.issues) return answered(call, "tool/invalid-input", invalidInput(call.name, outcome.issues));
    const input = outcome.value;
    const { needsApproval } = tool;
    if (needsApproval === true || (typeof needsApproval === "function" && needsApproval(input))) {
      reason ??= `tool "${call.name}" needs approval`;
    }
    return reason === undefined ? { kind: "ready", call, tool, input } : { kind: "ask", call, reason, tool, input };
  } catch (cause) {
    return answered(call, "tool/failed", `tool "${call.name}" could not judge its input: ${messageOf(cause)}`);
  }
}

/** Answers calls in their order; those of tools with `parallel: false` run alone. Never rejects. */
export async function executeCalls(calls: readonly PreparedCall[], run: ToolRun): Promise<readonly ToolResult[]> {
  if (calls.length === 1) return [await executeCall(calls[0]!, run)];
  const results: ToolResult[] = [];
  let beside: Promise<ToolResult>[] = [];
  const join = async () => {
    results.push(...(await Promise.all(beside)));
    beside = [];
  };
  for (const call of calls) {
    if (call.kind === "ready" && call.tool.parallel === false) {
      await join();
      results.push(await executeCall(call, run));
    } else {
      beside.push(executeCall(call, run));
    }
  }
  await join();
  return results;
}

async function executeCall(prepared: PreparedCall, run: ToolRun): Promise<ToolResult> {
  if (prepared.kind === "answered") return prepared.result;
  const { call, tool, input } = prepared;
  const start = run.clock.now();
  const conclude = (content: string, errorCode?: string): ToolResult => {
    const { id: callId, name: toolName } = call;
    const durationMs = run.clock.now() - start;
    if (errorCode === undefined) return { callId, toolName, content, isError: false, durationMs };
    return { callId, toolName, content, isError: true, errorCode, durationMs };
  };
  if (run.watch.aborted || prepared.kind === "ask") return conclude(abortedCall(call.name), "tool/aborted");

  const cut = tool.timeoutMs === undefined ? undefined : cutOff(call.name, tool.timeoutMs, run.watch);
  let open = true;
  try {
    const output = tool.execute(input, {
      signal: cut?.signal ?? run.watch.signal,
      sessionId: run.sessionId,
      ...(run.userId !== undefined && { userId: run.userId }),
      progress: (data) => {
        if (open) run.onProgress(call.id, data);
      },
    });
    if (!isPromise(output)) return conclude(contentOf(call.name, output));
    const settled = run.watch.race(cut ? Promise.race([output, cut.timeout]) : output);
    return conclude(contentOf(call.name, await settled));
  } catch (cause) {
    if (run.watch.aborted) return conclude(abortedCall(call.name), "tool/aborted");
    return conclude(messageOf(cause), AgentError.isInstance(cause) ? cause.code : "tool/failed");
  } finally {
    open = false;
    cut?.dispose();
  }
}

/** A signal that aborts with the run or after `ms`, and a promise that rejects after `ms`. */
function cutOff(toolName: string, ms: number, watch: AbortWatch) {
  const controller = new AbortController();
  const takeBack = watch.onAbort(() => controller.abort(watch.signal.reason));
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = new AgentError("tool/timeout", `tool "${toolName}" did not finish within ${ms} ms`);
      reject(error);
      controller.abort(error);
    }, ms);
  });
  timeout.catch(() => {});
  const dispose = () => {
    clearTimeout(timer);
    takeBack();
  };
  return { signal: controller.signal, timeout, dispose };
}

function answered(call: ToolCall, errorCode: string, content: string): PreparedCall {
  const result = { callId: call.id, toolName: call.name, content, isError: true, errorCode, durationMs: 0 };
  return { kind: "answered", call, result };
}

/** The result of a call that a person did not approve. */
export function refusedCall(call: ToolCall, reason: string | undefined): PreparedCall {
  return answered(
    call,
    "tool/refused",
    reason ? `a person refused this call: ${reason}` : "a person refused this call",
  );
}

const abortedCall = (toolName: string) => `tool "${toolName}" was stopped: the run was aborted`;

function unknownTool(name: string, tools: ToolSet): string {
  const names = [...tools.byName.keys()];
  const known = names.length === 0 ? "there are no tools" : `the tools are ${names.slice(0, 30).join(", ")}`;
  return `there is no tool "${name}"; ${known}`;
}

function invalidInput(name: string, issues: readonly StandardSchemaV1.Issue[]): string {
  const said = issues.map(({ message, path }) => {
    const field = path?.map((part) => String(typeof part === "object" ? part.key : part)).join(".");
    return field ? `${field}: ${message}` : message;
  });
  return `the input of "${name}" is invalid: ${said.join("; ")}`;
}

function contentOf(toolName: string, output: unknown): string {
  if (typeof output === "string") return output;
  if (output === undefined) return "";
  try {
    return JSON.stringify(output) ?? "";
  } catch (cause) {
    throw new AgentError("tool/failed", `tool "${toolName}" returned what JSON cannot hold: ${messageOf(cause)}`);
  }
}

function isPromise(value: unknown): value is Promise<unknown> {
  return typeof (value as { then?: unknown } | null)?.then === "function";
}
