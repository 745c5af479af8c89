import { AgentError } from "../errors.js";
import type { ToolCall } from "../message.js";
import type { FinishReason, LanguageModel, ModelRequest, ModelResponse } from "../model.js";
import { ModelError } from "../model-error.js";
import { modelStream } from "../model-stream.js";
import type { TokenRecord } from "../step.js";

/** What the model says to one call: an answer in one piece, a response as data, or a function of the request. */
export type ScriptedResponse = string | ScriptedMessage | ScriptedError | ScriptedHang | ScriptedFunction;

/** A message with its text in one piece or in deltas. */
export interface ScriptedMessage {
  readonly text?: string | readonly string[];
  readonly toolCalls?: readonly {
    readonly name: string;
    readonly input?: unknown;
    readonly invalidInput?: string;
    /** Default: "call-1", "call-2", … over the life of the model. */
    readonly id?: string;
  }[];
  readonly finishReason?: FinishReason;
  readonly usage?: ModelResponse["usage"];
  readonly tokens?: TokenRecord;
  readonly policyVersion?: string;
}

/** Some text, then a failure. */
export interface ScriptedError {
  readonly text?: string | readonly string[];
  readonly error: Error;
}

/** Some text, then nothing until the call is aborted. */
export interface ScriptedHang {
  readonly text?: string | readonly string[];
  readonly hang: true;
}

/** Makes the response when the call comes. */
export type ScriptedFunction = (
  request: ModelRequest,
  options: { readonly signal: AbortSignal },
) => Exclude<ScriptedResponse, ScriptedFunction> | Promise<Exclude<ScriptedResponse, ScriptedFunction>>;

/** A model that follows a script. */
export interface ScriptedModel extends LanguageModel {
  /** The requests so far, in order. */
  readonly requests: readonly ModelRequest[];
  /** @throws AgentError when responses are left, or when a call came that the script does not have. */
  assertExhausted(): void;
}

/** A model for tests: says what the script says, in order, and fails on a call that the script does not have. */
export function scriptedModel(
  script: readonly ScriptedResponse[],
  options: { readonly name?: string; readonly policyVersion?: string } = {},
): ScriptedModel {
  const { name = "scripted", policyVersion = name } = options;
  const requests: ModelRequest[] = [];
  let calls = 0;

  const respond = async (
    request: ModelRequest,
    signal: AbortSignal,
    say: (text: string) => void,
    onCall: (call: ToolCall) => void,
  ): Promise<ModelResponse> => {
    const position = requests.push(request) - 1;
    const entry = script[position];
    if (entry === undefined) {
      throw new ModelError(
        `the scripted model was called ${position + 1} times; its script has ${script.length} responses`,
      );
    }
    const scripted = typeof entry === "function" ? await entry(request, { signal }) : entry;
    const response: Exclude<typeof scripted, string> = typeof scripted === "string" ? { text: scripted } : scripted;
    const deltas = typeof response.text === "string" ? [response.text] : (response.text ?? []);
    for (const delta of deltas) say(delta);
    const usage = { inputTokens: request.messages.length, outputTokens: deltas.length };
    const content = deltas.join("");
    const message = (finishReason: FinishReason): ModelResponse => ({
      message: { role: "assistant", content },
      finishReason,
      usage,
      policyVersion,
    });
    if ("error" in response) throw response.error;
    if ("hang" in response) {
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      return message("aborted");
    }
    const toolCalls = (response.toolCalls ?? []).map(
      ({ id = `call-${++calls}`, name, input, invalidInput }): ToolCall =>
        invalidInput === undefined ? { id, name, input: input ?? {} } : { id, name, input: undefined, invalidInput },
    );
    for (const call of toolCalls) onCall(call);
    return {
      message: toolCalls.length > 0 ? { role: "assistant", content, toolCalls } : { role: "assistant", content },
      finishReason: response.finishReason ?? (toolCalls.length > 0 ? "tool-calls" : "stop"),
      usage: response.usage ?? usage,
      policyVersion: response.policyVersion ?? policyVersion,
      ...(response.tokens && { tokens: response.tokens }),
    };
  };

  return {
    name,
    requests,
    policyVersion: () => policyVersion,
    generate: (request, { signal }) =>
      modelStream((push) =>
        respond(
          request,
          signal,
          (text) => push({ type: "text-delta", text }),
          (call) => push({ type: "tool-call", call }),
        ),
      ),
    assertExhausted() {
      if (requests.length === script.length) return;
      throw new AgentError(
        "test/script",
        `the scripted model was called ${requests.length} times; its script has ${script.length} responses`,
      );
    },
  };
}
