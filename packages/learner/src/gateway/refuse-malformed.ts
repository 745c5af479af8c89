import type { Socket } from "node:net";
import { GatewayError } from "./gateway-error.js";

/** Answers what is no HTTP at all, or too much or too slow of it, in the shape of all other errors, and hangs up. */
export function refuseMalformed(cause: Error & { readonly code?: string }, socket: Socket): void {
  if (!socket.writable || cause.code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const { status, message } = refusalOf(cause.code);
  const body = JSON.stringify(new GatewayError(status, message, { apiCode: "malformed_request" }).body);
  const head = [
    `HTTP/1.1 ${status} ${status === 431 ? "Request Header Fields Too Large" : status === 408 ? "Request Timeout" : "Bad Request"}`,
    "content-type: application/json; charset=utf-8",
    `content-length: ${Buffer.byteLength(body)}`,
    "connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
}

function refusalOf(code: string | undefined): { readonly status: number; readonly message: string } {
  if (code === "HPE_HEADER_OVERFLOW") return { status: 431, message: "the headers are too long" };
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return { status: 408, message: "the request took too long to arrive" };
  return { status: 400, message: "the request is no well-formed HTTP" };
}
