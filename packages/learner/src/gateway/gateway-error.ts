import { AgentError, type ModelError, messageOf } from "@afterstate/core";

/** A request that was refused or failed, with what the client is told: OpenAI's shape of errors, and a status of HTTP. */
export class GatewayError extends AgentError {
  readonly status: number;
  /** OpenAI's code, such as `model_not_found`. */
  readonly apiCode: string | undefined;
  /** The field of the request that is at fault. */
  readonly param: string | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(
    status: number,
    message: string,
    facts: {
      readonly apiCode?: string;
      readonly param?: string;
      readonly retryAfterSeconds?: number;
      readonly cause?: unknown;
    } = {},
  ) {
    const { apiCode, param, retryAfterSeconds, cause } = facts;
    super(status < 500 ? "gateway/bad-request" : "gateway/failed", message, { retryable: status === 429, cause });
    this.status = status;
    this.apiCode = apiCode;
    this.param = param;
    this.retryAfterSeconds = retryAfterSeconds;
  }

  /** The body of the response. */
  get body() {
    const { status, message, param = null, apiCode = null } = this;
    const type =
      status === 429
        ? "rate_limit_error"
        : status === 401
          ? "authentication_error"
          : status < 500
            ? "invalid_request_error"
            : "server_error";
    return { error: { message, type, param, code: apiCode } };
  }
}

/** A field of a request that cannot be taken: 400. */
export function badField(param: string, message: string, apiCode?: string): GatewayError {
  return new GatewayError(400, message, { param, ...(apiCode !== undefined && { apiCode }) });
}

/** Codes of what went wrong inside, with what it is to a client. */
const KNOWN: Readonly<Record<string, { readonly status: number; readonly apiCode: string; readonly param?: string }>> =
  {
    "policy/unknown-version": { status: 404, apiCode: "model_not_found", param: "model" },
    "model/context-overflow": { status: 400, apiCode: "context_length_exceeded", param: "messages" },
    "model/unsupported-option": { status: 400, apiCode: "unsupported_parameter" },
    "model/invalid-option": { status: 400, apiCode: "invalid_value" },
    "agent/invalid-context": { status: 400, apiCode: "invalid_value", param: "messages" },
    "agent/invalid-feedback": { status: 400, apiCode: "invalid_value", param: "score" },
    "agent/unknown-episode": { status: 404, apiCode: "completion_not_found", param: "id" },
    "agent/no-step": { status: 404, apiCode: "completion_not_found", param: "id" },
  };

/** Whatever went wrong, as the client is told of it. What is nobody's business outside is not in the message. */
export function asGatewayError(cause: unknown): GatewayError {
  if (cause instanceof GatewayError) return cause;
  if (!AgentError.isInstance(cause)) {
    return new GatewayError(500, "the gateway has a defect; the operator finds it in its log", {
      cause,
      apiCode: "internal_error",
    });
  }
  const { code } = cause;
  const known = KNOWN[code];
  if (known) return new GatewayError(known.status, cause.message, { ...known, cause });
  if (code !== "model/failed") return new GatewayError(500, messageOf(cause), { apiCode: code, cause });
  const { status, retryAfterMs } = cause as ModelError;
  const retryAfter = retryAfterMs === undefined ? {} : { retryAfterSeconds: Math.ceil(retryAfterMs / 1000) };
  return status === 429
    ? new GatewayError(429, cause.message, { apiCode: "upstream_rate_limit", ...retryAfter, cause })
    : new GatewayError(502, cause.message, { apiCode: "upstream_error", ...retryAfter, cause });
}
