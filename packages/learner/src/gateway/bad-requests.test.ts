import { connect } from "node:net";
import { scriptedModel } from "@afterstate/core/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ServedAgent, serveAgent } from "../testing/served-agent.js";

const KEY = "the-only-key";
const LIMIT = 1_500_000;
let served: ServedAgent;
beforeAll(async () => {
  const model = scriptedModel(["Hello."]);
  served = await serveAgent(model, { keys: [KEY], limits: { bodyBytes: LIMIT, requestsPerMinute: 10_000 } });
});
afterAll(() => served.close());

const auth = { authorization: `Bearer ${KEY}` };
const json = { ...auth, "content-type": "application/json" };
const hi = [{ role: "user", content: "Hi" }];
const chat = (body: object) => ({
  path: "/v1/chat/completions",
  method: "POST",
  headers: json,
  body: { model: "m", messages: hi, ...body },
});
const raw = (body: string | Uint8Array, headers: Record<string, string> = json) => ({
  path: "/v1/chat/completions",
  method: "POST",
  headers,
  body,
});
const feedback = (body: object) => ({ path: "/v1/feedback", method: "POST", headers: json, body });
const call = { id: "c", type: "function", function: { name: "f", arguments: "{}" } };
const called = { role: "assistant", content: null, tool_calls: [call] };
const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`;
const tool = (fields: object) => ({
  tools: [{ type: "function", function: { name: "f", parameters: { type: "object" }, ...fields } }],
});

describe("a bad request", () => {
  it.each([
    ["malformed JSON", raw("{"), 400, "invalid_json", null],
    ["no body", raw(""), 400, "invalid_json", null],
    ["a list", raw("[]"), 400, "invalid_json", null],
    ["a text", raw('"hello"'), 400, "invalid_json", null],
    ["null", raw("null"), 400, "invalid_json", null],
    ["invalid UTF-8", raw(new Uint8Array([123, 34, 255, 254, 34, 58, 49, 125])), 400, "invalid_json", null],
    ["a NUL character", chat({ messages: [{ role: "user", content: "a\0b" }] }), 400, "invalid_value", null],
    [
      "half a character",
      raw('{"model":"m","messages":[{"role":"user","content":"\\ud800"}]}'),
      400,
      "invalid_value",
      null,
    ],
    ["a hundred thousand brackets", raw(`{"model":"m","x":${nested(20_000)}}`), 400, "invalid_value", null],
    ["a body over the limit", raw(`{"model":"${"m".repeat(LIMIT)}"}`), 413, "request_too_large", null],
    ["another content type", raw("{}", { ...auth, "content-type": "text/plain" }), 415, "unsupported_media_type", null],
    [
      "a form",
      raw("model=m", { ...auth, "content-type": "application/x-www-form-urlencoded" }),
      415,
      "unsupported_media_type",
      null,
    ],
    ["a compressed body", raw("{}", { ...json, "content-encoding": "gzip" }), 415, "unsupported_media_type", null],
    ["no key", raw("{}", { "content-type": "application/json" }), 401, "invalid_api_key", null],
    ["a wrong key", raw("{}", { ...json, authorization: "Bearer nobody" }), 401, "invalid_api_key", null],
    ["another scheme", raw("{}", { ...json, authorization: `Basic ${KEY}` }), 401, "invalid_api_key", null],
    ["no model", chat({ model: undefined }), 400, null, "model"],
    ["an unknown model", chat({ model: "gpt-4o" }), 404, "model_not_found", "model"],
    ["an unknown version", chat({ model: "m@v99" }), 404, "model_not_found", "model"],
    ["no messages", chat({ messages: undefined }), 400, null, "messages"],
    ["empty messages", chat({ messages: [] }), 400, null, "messages"],
    ["messages that are no list", chat({ messages: "Hi" }), 400, null, "messages"],
    ["a message that is no object", chat({ messages: ["Hi"] }), 400, null, "messages[0]"],
    [
      "a role that does not exist",
      chat({ messages: [{ role: "robot", content: "Hi" }] }),
      400,
      null,
      "messages[0].role",
    ],
    [
      "the role of old functions",
      chat({ messages: [{ role: "function", name: "f", content: "" }] }),
      400,
      null,
      "messages[0].role",
    ],
    ["a message without content", chat({ messages: [{ role: "user" }] }), 400, null, "messages[0].content"],
    [
      "a content that is a number",
      chat({ messages: [{ role: "user", content: 7 }] }),
      400,
      null,
      "messages[0].content",
    ],
    [
      "a picture",
      chat({ messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "data:" } }] }] }),
      400,
      "unsupported_content",
      "messages[0].content[0]",
    ],
    [
      "the assistant last",
      chat({ messages: [...hi, { role: "assistant", content: "Hello." }] }),
      400,
      null,
      "messages",
    ],
    [
      "an empty assistant message",
      chat({ messages: [{ role: "assistant" }, ...hi] }),
      400,
      null,
      "messages[0].content",
    ],
    [
      "a tool result without a call",
      chat({ messages: [...hi, { role: "tool", tool_call_id: "c", content: "" }] }),
      400,
      null,
      "messages[1].tool_call_id",
    ],
    [
      "a tool result for another call",
      chat({ messages: [...hi, called, { role: "tool", tool_call_id: "d", content: "" }] }),
      400,
      null,
      "messages[2].tool_call_id",
    ],
    [
      "two results for one call",
      chat({ messages: [called, ...["1", "2"].map((content) => ({ role: "tool", tool_call_id: "c", content }))] }),
      400,
      null,
      "messages[2].tool_call_id",
    ],
    [
      "a late tool result",
      chat({ messages: [called, ...hi, { role: "tool", tool_call_id: "c", content: "" }] }),
      400,
      null,
      "messages[2].tool_call_id",
    ],
    [
      "two calls of one id",
      chat({ messages: [{ ...called, tool_calls: [call, call] }, ...hi] }),
      400,
      null,
      "messages[0].tool_calls",
    ],
    [
      "calls that are no list",
      chat({ messages: [{ ...called, tool_calls: {} }, ...hi] }),
      400,
      null,
      "messages[0].tool_calls",
    ],
    [
      "a call without a function",
      chat({ messages: [{ ...called, tool_calls: [{ id: "c", type: "function" }] }, ...hi] }),
      400,
      null,
      "messages[0].tool_calls[0]",
    ],
    ["a tool without a name", chat(tool({ name: undefined })), 400, null, "tools[0].function.name"],
    ["a tool with a strange name", chat(tool({ name: "f\r\nx" })), 400, null, "tools[0].function.name"],
    [
      "a tool whose input is a number",
      chat(tool({ parameters: { type: "number" } })),
      400,
      null,
      "tools[0].function.parameters",
    ],
    ["two tools of one name", chat({ tools: [...tool({}).tools, ...tool({}).tools] }), 400, null, "tools"],
    [
      "a tool that must be called",
      chat({ ...tool({}), tool_choice: "required" }),
      400,
      "unsupported_parameter",
      "tool_choice",
    ],
    [
      "a tool that is named",
      chat({ ...tool({}), tool_choice: { type: "function", function: { name: "f" } } }),
      400,
      "unsupported_parameter",
      "tool_choice",
    ],
    ["two responses", chat({ n: 2 }), 400, "unsupported_parameter", "n"],
    ["a bias", chat({ logit_bias: { 5: 1 } }), 400, "unsupported_parameter", "logit_bias"],
    ["a penalty", chat({ frequency_penalty: 0.5 }), 400, "unsupported_parameter", "frequency_penalty"],
    [
      "a response of JSON",
      chat({ response_format: { type: "json_object" } }),
      400,
      "unsupported_parameter",
      "response_format",
    ],
    [
      "alternatives for each token",
      chat({ logprobs: true, top_logprobs: 3 }),
      400,
      "unsupported_parameter",
      "top_logprobs",
    ],
    ["log-probabilities that nobody has", chat({ logprobs: true }), 400, "unsupported_parameter", "logprobs"],
    ["a temperature below 0", chat({ temperature: -1 }), 400, null, "temperature"],
    ["a temperature in words", chat({ temperature: "hot" }), 400, null, "temperature"],
    ["a top_p of 0", chat({ top_p: 0 }), 400, null, "top_p"],
    ["no tokens at all", chat({ max_tokens: 0 }), 400, null, "max_tokens"],
    ["half a token", chat({ max_completion_tokens: 1.5 }), 400, null, "max_completion_tokens"],
    ["an empty stop", chat({ stop: "" }), 400, null, "stop"],
    ["five stops", chat({ stop: ["1", "2", "3", "4", "5"] }), 400, null, "stop"],
    ["a seed in words", chat({ seed: "x" }), 400, null, "seed"],
    ["a stream in words", chat({ stream: "yes" }), 400, null, "stream"],
    ["options of no stream", chat({ stream_options: { include_usage: true } }), 400, null, "stream_options"],
    ["a user with a line break", chat({ user: "ann\nbob" }), 400, null, "user"],
    ["a session id with a line break", chat({ session_id: "a\r\nb" }), 400, null, "session_id"],
    [
      "a session id of a thousand letters",
      { ...chat({}), headers: { ...json, "x-session-id": "a".repeat(1000) } },
      400,
      null,
      "x-session-id",
    ],
    [
      "a turn type of several words",
      { ...chat({}), headers: { ...json, "x-turn-type": "main thing" } },
      400,
      null,
      "x-turn-type",
    ],
    [
      "a session that is maybe done",
      { ...chat({}), headers: { ...json, "x-session-done": "maybe" } },
      400,
      null,
      "x-session-done",
    ],
    ["feedback without an id", feedback({ score: 1 }), 400, null, "id"],
    ["feedback that says nothing", feedback({ id: "chatcmpl-x" }), 400, null, "score"],
    ["feedback of 7", feedback({ id: "chatcmpl-x", score: 7 }), 400, null, "score"],
    ["an empty correction", feedback({ id: "chatcmpl-x", correction: " " }), 400, null, "correction"],
    ["feedback on nothing", feedback({ id: "chatcmpl-x", score: 1 }), 404, "completion_not_found", "id"],
    [
      "feedback on another's answer",
      feedback({ id: `chatcmpl-${Buffer.from("other.s/0#0").toString("base64url")}`, score: 1 }),
      404,
      "completion_not_found",
      "id",
    ],
    ["an unknown path", { path: "/v1/completions", method: "POST", headers: json, body: {} }, 404, "not_found", null],
    ["another method", { path: "/v1/chat/completions", method: "GET", headers: auth }, 405, "method_not_allowed", null],
    [
      "a method that changes things",
      { path: "/v1/models", method: "DELETE", headers: auth },
      405,
      "method_not_allowed",
      null,
    ],
    [
      "a model's path that is not well encoded",
      { path: "/v1/models/%zz", method: "GET", headers: auth },
      400,
      "invalid_value",
      null,
    ],
  ] as const)(
    "%s is refused in OpenAI's shape, and nothing is logged",
    async (_, { path, ...request }, status, code, param) => {
      const response = await served.send(path, request as never);
      const { error } = (await response.json()) as { error: Record<string, unknown> };
      expect({ status: response.status, code: error.code, param: error.param }).toEqual({ status, code, param });
      expect(Object.keys(error).sort()).toEqual(["code", "message", "param", "type"]);
      expect(error.message).toMatch(/\S/);
      expect(await served.events()).toEqual([]);
    },
  );
});

/** Sends bytes as they are. @returns all that came back until the gateway hung up, or `end` did. */
function talk(text: string, { end = false } = {}): Promise<string> {
  const { hostname, port } = new URL(served.url);
  return new Promise((resolve) => {
    let heard = "";
    const socket = connect(Number(port), hostname, () => {
      socket.write(text);
      if (end) socket.end();
    });
    socket.on("data", (bytes) => {
      heard += bytes;
    });
    socket.on("error", () => resolve(heard));
    socket.on("close", () => resolve(heard));
  });
}

describe("what is no request", () => {
  it.each([
    ["no HTTP", "hello\r\n\r\n", "400"],
    ["a header with a NUL", "GET /healthz HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n", "400"],
    ["two lengths", "POST /v1/feedback HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", "400"],
    [
      "a length and chunks",
      "POST /v1/feedback HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
      "400",
    ],
    ["a chunk of no length", "POST /v1/feedback HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", ""],
    ["headers of 100 kB", `GET /healthz HTTP/1.1\r\nhost: a\r\nx: ${"a".repeat(100_000)}\r\n\r\n`, "431"],
    ["an unknown method", "BREW /coffee HTTP/1.1\r\nhost: a\r\n\r\n", "400"],
  ])("%s is refused, and the gateway hangs up", async (_, text, status) => {
    const heard = await talk(text, { end: status === "" });
    if (status !== "") {
      expect(heard.split(" ")[1]).toBe(status);
      expect(heard).toContain('"error":{');
    }
    expect((await served.send("/healthz")).status).toBe(200);
  });

  it("such as a body that breaks off leaves nothing behind", async () => {
    const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${KEY}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{`;
    await talk(head, { end: true });
    expect((await served.send("/healthz")).status).toBe(200);
    expect(await served.events()).toEqual([]);
  });

  it("such as a body of 20 MB is heard out and refused", async () => {
    const body = " ".repeat(20 * 1024 * 1024);
    const request = { method: "POST", headers: json, body };
    expect((await served.send("/v1/chat/completions", request)).status).toBe(413);
    expect((await served.send("/healthz")).status).toBe(200);
  });
});
