import type { IncomingMessage } from "node:http";
import { GatewayError } from "./gateway-error.js";

/** Brackets in brackets; the schemas of tools are the deepest that honest requests hold. */
const MAX_DEPTH = 100;
/** What is more than this many times the limit is not even thrown away, but cut off. */
const DISCARDED_LIMITS = 16;

/**
 * The JSON object that a request carries. The rest of a body that is too long is thrown away as it comes, so that the client gets to
 * read why.
 *
 * @throws GatewayError 400, 413 or 415.
 */
export async function readJsonBody(
  request: IncomingMessage,
  limit: number,
): Promise<Readonly<Record<string, unknown>>> {
  const type = request.headers["content-type"] ?? "";
  if (!/^application\/json\s*(;|$)/i.test(type)) {
    throw new GatewayError(415, `the body is to be application/json, not "${type.slice(0, 80)}"`, {
      apiCode: "unsupported_media_type",
    });
  }
  const encoding = request.headers["content-encoding"] ?? "identity";
  if (encoding !== "identity") {
    throw new GatewayError(415, `a body encoded as "${encoding.slice(0, 40)}" is not read; send it as it is`, {
      apiCode: "unsupported_media_type",
    });
  }
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length <= limit) chunks.push(chunk);
    else chunks.length = 0;
    if (length > DISCARDED_LIMITS * limit) break;
  }
  if (length > limit) {
    throw new GatewayError(413, `the body is longer than ${limit} bytes; shorten the conversation`, {
      apiCode: "request_too_large",
    });
  }
  const body = parse(decode(Buffer.concat(chunks)));
  if (typeof body !== "object" || body === null || Array.isArray(body)) throw notJson("it is no object");
  assertPlain(body);
  return body as Readonly<Record<string, unknown>>;
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw notJson("it is not UTF-8");
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw notJson("it cannot be parsed");
  }
}

const notJson = (why: string) =>
  new GatewayError(400, `the body is not a JSON object: ${why}`, { apiCode: "invalid_json" });

/** Refuses what no tokenizer, log or stack is to see: NUL characters, halves of characters, and depth. */
function assertPlain(body: object): void {
  let level: readonly unknown[] = [body];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH)
      throw new GatewayError(400, `the body is nested deeper than ${MAX_DEPTH} levels`, { apiCode: "invalid_value" });
    const next: unknown[] = [];
    for (const value of level) {
      if (typeof value === "string") assertText(value);
      else if (typeof value === "object" && value !== null) {
        for (const [key, inner] of Object.entries(value)) {
          assertText(key);
          next.push(inner);
        }
      }
    }
    level = next;
  }
}

function assertText(text: string): void {
  const what = text.includes("\0")
    ? "a NUL character"
    : /\p{Surrogate}/u.test(text)
      ? "half of a surrogate pair"
      : undefined;
  if (what !== undefined)
    throw new GatewayError(400, `a text of the body has ${what} in it`, { apiCode: "invalid_value" });
}
