import type { ServerResponse } from "node:http";
import type { GatewayError } from "./gateway-error.js";

/** Sends a JSON body in one piece. */
export function sendJson(response: ServerResponse, status: number, body: object): void {
  if (response.destroyed) return;
  const text = JSON.stringify(body);
  response.writeHead(status, {
    "content-type": "application/json; charset=utf-8",
    "content-length": Buffer.byteLength(text),
  });
  response.end(text);
}

/** Sends an error; one that comes when a response has begun cuts it off. */
export function sendError(response: ServerResponse, error: GatewayError): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const { retryAfterSeconds, status } = error;
  if (retryAfterSeconds !== undefined) response.setHeader("retry-after", String(retryAfterSeconds));
  if (status === 401) response.setHeader("www-authenticate", "Bearer");
  // The rest of such a body is not read.
  if (status === 413 || status === 503) response.setHeader("connection", "close");
  sendJson(response, status, error.body);
}

/** Server-sent events: one JSON object each. */
export interface EventStream {
  /** Whether the client has got its status. */
  readonly isOpen: boolean;
  open(): void;
  send(event: object): void;
  /** @param isWhole whether `[DONE]` comes last. */
  end(isWhole: boolean): void;
}

/** Makes a response a stream of events. */
export function eventStream(response: ServerResponse): EventStream {
  const send = (data: string) => {
    if (!response.destroyed) response.write(`data: ${data}\n\n`);
  };
  return {
    get isOpen() {
      return response.headersSent;
    },
    open() {
      response.writeHead(200, {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache",
        "x-accel-buffering": "no",
      });
    },
    send: (event) => send(JSON.stringify(event)),
    end(isWhole) {
      if (isWhole) send("[DONE]");
      response.end();
    },
  };
}
