import { AgentError, messageOf } from "./errors.js";

/** A model call that failed: which model, why, and whether another try can help. */
export class ModelError extends AgentError {
  /** The status of the endpoint's response, where there was one. */
  readonly status?: number;
  /** How long the endpoint asked to wait before the next try. */
  readonly retryAfterMs?: number;

  constructor(
    message: string,
    facts: {
      readonly cause?: unknown;
      readonly retryable?: boolean;
      readonly status?: number;
      readonly retryAfterMs?: number;
    } = {},
  ) {
    super("model/failed", message, facts);
    if (facts.status !== undefined) this.status = facts.status;
    if (facts.retryAfterMs !== undefined) this.retryAfterMs = facts.retryAfterMs;
  }
}

/** Whatever a model threw, as an AgentError that names the model. */
export function asModelError(thrown: unknown, modelName: string): AgentError {
  if (AgentError.isInstance(thrown)) return thrown;
  return new ModelError(`model "${modelName}" failed: ${messageOf(thrown)}`, { cause: thrown });
}
