import type { AssistantMessage, FinishReason, TokenRecord, ToolCall } from "@afterstate/core";

/** What is the same in all parts of one response. */
export interface ResponseHead {
  readonly id: string;
  /** Seconds since the epoch. */
  readonly created: number;
  /** With the version that answers. */
  readonly model: string;
  readonly policyVersion: string;
}

/** A response that is over. */
export interface FinishedResponse {
  readonly message: AssistantMessage;
  readonly finishReason: FinishReason;
  readonly usage: { readonly inputTokens: number; readonly outputTokens: number };
  /** Present when they were asked for. */
  readonly logprobs?: Logprobs;
}

/** Log-probabilities in the shape of the API. */
export interface Logprobs {
  readonly content: readonly {
    readonly token: string;
    readonly logprob: number;
    readonly bytes: readonly number[];
    readonly top_logprobs: readonly [];
  }[];
}

/** Of the tokens as they were sampled. A token that only ends the response is left out; parts of characters show as U+FFFD beside their bytes. */
export function logprobsOf({ ids, logProbs }: TokenRecord, tokenBytes: (id: number) => Uint8Array): Logprobs {
  const content = ids.flatMap((id, index) => {
    const bytes = tokenBytes(id);
    if (bytes.length === 0) return [];
    return [
      {
        token: new TextDecoder().decode(bytes),
        logprob: logProbs[index]!,
        bytes: [...bytes],
        top_logprobs: [] as const,
      },
    ];
  });
  return { content };
}

/** The body of a response in one piece. */
export function chatCompletion(
  head: ResponseHead,
  { message, finishReason, usage, logprobs }: FinishedResponse,
): object {
  const { content, toolCalls = [] } = message;
  return {
    id: head.id,
    object: "chat.completion",
    created: head.created,
    model: head.model,
    system_fingerprint: head.policyVersion,
    choices: [
      {
        index: 0,
        message: {
          role: "assistant",
          content: content === "" && toolCalls.length > 0 ? null : content,
          refusal: null,
          ...(toolCalls.length > 0 && { tool_calls: toolCalls.map(apiCall) }),
        },
        logprobs: logprobs ?? null,
        finish_reason: apiFinishReason(finishReason),
      },
    ],
    usage: apiUsage(usage),
  };
}

/** The chunks of a stream. */
export function chatChunks(head: ResponseHead, includeUsage: boolean) {
  const chunk = (choices: readonly object[], usage: object | null = null): object => ({
    id: head.id,
    object: "chat.completion.chunk",
    created: head.created,
    model: head.model,
    system_fingerprint: head.policyVersion,
    choices,
    ...(includeUsage && { usage }),
  });
  const choice = (delta: object, finish: string | null = null, logprobs: Logprobs | null = null) => [
    { index: 0, delta, logprobs, finish_reason: finish },
  ];
  return {
    opening: () => chunk(choice({ role: "assistant", content: "" })),
    text: (text: string) => chunk(choice({ content: text })),
    /** All that follows the text. */
    closing({ message, finishReason, usage, logprobs }: FinishedResponse): readonly object[] {
      const calls = (message.toolCalls ?? []).map((call, index) => ({ index, ...apiCall(call) }));
      return [
        ...(calls.length > 0 ? [chunk(choice({ tool_calls: calls }))] : []),
        chunk(choice({}, apiFinishReason(finishReason), logprobs ?? null)),
        ...(includeUsage ? [chunk([], apiUsage(usage))] : []),
      ];
    },
  };
}

const FINISH_REASONS: Readonly<Record<FinishReason, string>> = {
  stop: "stop",
  "tool-calls": "tool_calls",
  length: "length",
  aborted: "stop",
};

const apiFinishReason = (reason: FinishReason) => FINISH_REASONS[reason];

function apiCall({ id, name, input, invalidInput }: ToolCall): object {
  return { id, type: "function", function: { name, arguments: invalidInput ?? JSON.stringify(input) } };
}

function apiUsage({ inputTokens, outputTokens }: FinishedResponse["usage"]): object {
  return { prompt_tokens: inputTokens, completion_tokens: outputTokens, total_tokens: inputTokens + outputTokens };
}
