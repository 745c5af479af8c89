import type { AbortWatch } from "./abort-watch.js";
import type { ActionStrategy } from "./action-strategy.js";
import { type Clock, sleep } from "./clock.js";
import type { AgentError } from "./errors.js";
import type { LanguageModel, ModelPart, ModelRequest, ModelResponse } from "./model.js";
import { asModelError, ModelError } from "./model-error.js";

const MAX_ATTEMPTS = 3;
const FIRST_PAUSE_MS = 500;

/** A model that asks for a longer wait than this has failed. */
const MAX_PAUSE_MS = 60_000;

/** How long a model may take to hand over its partial response after an abort. */
const ABORT_GRACE_MS = 1_000;

/**
 * One action, tried again when the model's failure is retryable. After an abort it resolves with what was written,
 * `finishReason` "aborted".
 *
 * @param onRetry told of each failure that another try follows; streamed text starts over then.
 * @throws AgentError when the model failed for good.
 */
export async function callModel(call: {
  readonly model: LanguageModel;
  readonly strategy: ActionStrategy;
  readonly request: ModelRequest;
  readonly watch: AbortWatch;
  readonly clock: Clock;
  readonly onText: (text: string) => void;
  readonly onRetry: (error: AgentError, pauseMs: number) => void;
}): Promise<ModelResponse> {
  const { model, strategy, request, watch, clock } = call;
  for (let attempt = 1; ; attempt++) {
    let written = "";
    let open = true;
    const onPart = (part: ModelPart) => {
      if (!open || part.type !== "text-delta") return;
      written += part.text;
      call.onText(part.text);
    };
    const aborted = (): ModelResponse => ({
      message: { role: "assistant", content: written },
      finishReason: "aborted",
      usage: { inputTokens: 0, outputTokens: 0 },
      policyVersion: model.policyVersion(),
    });
    if (watch.aborted) return aborted();
    try {
      const acting = strategy.act({ model, request, onPart, signal: watch.signal });
      const response = await watch.race(acting, ABORT_GRACE_MS);
      if (typeof response?.message?.content !== "string") {
        throw new ModelError(`model "${model.name}" gave a response without a message; its client is at fault`);
      }
      return response;
    } catch (cause) {
      if (watch.aborted) return aborted();
      const error = asModelError(cause, model.name);
      const pauseMs = (error as Partial<ModelError>).retryAfterMs ?? FIRST_PAUSE_MS * 2 ** (attempt - 1);
      if (!error.retryable || attempt === MAX_ATTEMPTS || pauseMs > MAX_PAUSE_MS) throw error;
      call.onRetry(error, pauseMs);
      await sleep(clock, pauseMs, watch.signal).catch(() => {});
    } finally {
      open = false;
    }
  }
}
