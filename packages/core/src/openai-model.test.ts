import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import nock from "nock";
import { afterEach, describe, expect, it } from "vitest";
import type { ModelPart, ModelRequest } from "./model.js";
import { openaiModel } from "./openai-model.js";

const request: ModelRequest = { messages: [{ role: "user", content: "hi" }], tools: [], seed: 7 };
const never = new AbortController().signal;
const sse = (...chunks: unknown[]) =>
  `${chunks.map((chunk) => `data: ${typeof chunk === "string" ? chunk : JSON.stringify(chunk)}\n\n`).join("")}data: [DONE]\n\n`;
const delta = (part: unknown, finish_reason: string | null = null) => ({
  choices: [{ index: 0, delta: part, finish_reason }],
});

/** An endpoint without a socket. */
const mocked = () => {
  if (!nock.isActive()) nock.activate();
  return nock("https://models.test");
};
const servers: (() => void)[] = [];
afterEach(() => {
  nock.cleanAll();
  nock.restore();
  for (const stop of servers.splice(0)) stop();
});

/** An endpoint on loopback; its requests' bodies are parsed. */
const serve = async (answer: (response: ServerResponse, body: unknown, request: IncomingMessage) => void) => {
  const server = createServer((incoming, response) => {
    let text = "";
    incoming.on("data", (data) => {
      text += data;
    });
    incoming.on("end", () => answer(response, JSON.parse(text), incoming));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  servers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
};
const stream = (response: ServerResponse) => response.writeHead(200, { "content-type": "text/event-stream" });
const partsOf = async (generated: AsyncIterable<ModelPart>) => {
  const parts: ModelPart[] = [];
  for await (const part of generated) parts.push(part);
  return parts;
};

describe("openaiModel", () => {
  it("passes every sampling setting on, and refuses those that OpenAI has no field for", async () => {
    const bodies: unknown[] = [];
    const answer = (response: ServerResponse, body: unknown) => {
      bodies.push(body);
      stream(response).end(sse(delta({ content: "x" }), delta({}, "stop")));
    };
    const model = openaiModel({ model: "m", baseURL: await serve(answer) });
    const wishes = { temperature: 0.5, maxTokens: 9, topP: 0.9, topK: 40, minP: 0.05, stop: ["\n\n"] };
    await model.generate({ ...request, ...wishes }, { signal: never }).response();
    expect(bodies[0]).toMatchObject({
      seed: 7,
      temperature: 0.5,
      max_tokens: 9,
      top_p: 0.9,
      top_k: 40,
      min_p: 0.05,
      stop: ["\n\n"],
    });
    const openai = openaiModel({ model: "m", baseURL: "https://api.openai.com/v1", apiKey: "k" });
    for (const wish of [{ topK: 40 }, { minP: 0.1 }]) {
      const refused = openai.generate({ ...request, ...wish }, { signal: never }).response();
      await expect(refused).rejects.toMatchObject({ code: "model/unsupported-option" });
    }
    const wrong = model.generate({ ...request, topP: 2 }, { signal: never }).response();
    await expect(wrong).rejects.toThrow("topP must be more than 0 and at most 1, not 2");
  });

  it("streams text and counts tokens and dollars", async () => {
    let body: Record<string, unknown> = {};
    mocked()
      .post("/v1/chat/completions", (sent) => {
        body = sent;
        return true;
      })
      .matchHeader("authorization", "Bearer secret")
      .reply(
        200,
        sse(
          delta({ role: "assistant", content: "" }),
          delta({ content: "Hel" }),
          delta({ content: "lo" }),
          delta({}, "stop"),
          { choices: [], usage: { prompt_tokens: 1000, completion_tokens: 500 } },
        ),
        { "content-type": "text/event-stream" },
      );
    const model = openaiModel({
      model: "m",
      baseURL: "https://models.test/v1",
      apiKey: "secret",
      prices: { input: 2, output: 8 },
    });
    const generated = model.generate({ ...request, temperature: 0.5, maxTokens: 50 }, { signal: never });
    expect(await partsOf(generated)).toEqual([
      { type: "text-delta", text: "Hel" },
      { type: "text-delta", text: "lo" },
    ]);
    expect(await generated.response()).toEqual({
      message: { role: "assistant", content: "Hello" },
      finishReason: "stop",
      // (1000 · 2 + 500 · 8) / 10⁶ = 0.006
      usage: { inputTokens: 1000, outputTokens: 500, dollars: 0.006 },
      policyVersion: "m",
    });
    expect(body).toEqual({
      model: "m",
      messages: [{ role: "user", content: "hi" }],
      stream: true,
      stream_options: { include_usage: true },
      seed: 7,
      temperature: 0.5,
      max_tokens: 50,
    });
  });

  it("puts tool calls together from their pieces, and keeps arguments that are not JSON as text", async () => {
    mocked()
      .post("/v1/chat/completions")
      .reply(
        200,
        sse(
          delta({ tool_calls: [{ index: 0, id: "a", function: { name: "add", arguments: '{"a":' } }] }),
          delta({ tool_calls: [{ index: 0, function: { arguments: "1}" } }] }),
          delta({ tool_calls: [{ index: 1, id: "b", function: { name: "bad", arguments: "{oops" } }] }),
          delta({ tool_calls: [{ index: 2, id: "c", function: { name: "none", arguments: "" } }] }),
          delta({}, "tool_calls"),
        ),
        { "content-type": "text/event-stream" },
      );
    const model = openaiModel({ model: "m", baseURL: "https://models.test/v1" });
    const generated = model.generate(request, { signal: never });
    const calls = [
      { id: "a", name: "add", input: { a: 1 } },
      { id: "b", name: "bad", input: undefined, invalidInput: "{oops" },
      { id: "c", name: "none", input: {} },
    ];
    expect(await partsOf(generated)).toEqual(calls.map((call) => ({ type: "tool-call", call })));
    expect(await generated.response()).toMatchObject({
      message: { role: "assistant", content: "", toolCalls: calls },
      finishReason: "tool-calls",
    });
  });

  it("sends tools, tool calls and results as the API takes them", async () => {
    let body: unknown;
    const baseURL = await serve((response, sent) => {
      body = sent;
      stream(response).end(sse(delta({ content: "ok" }, "stop")));
    });
    const model = openaiModel({ model: "m", baseURL });
    const inputSchema = { type: "object", properties: { a: { type: "number" } } };
    await model
      .generate(
        {
          messages: [
            { role: "system", content: "Be brief.", pinned: true },
            { role: "user", content: "1+1?" },
            {
              role: "assistant",
              content: "",
              toolCalls: [
                { id: "a", name: "add", input: { a: 1 } },
                { id: "b", name: "add", input: undefined, invalidInput: "{oops" },
              ],
            },
            { role: "tool", toolCallId: "a", toolName: "add", content: "2" },
            { role: "tool", toolCallId: "b", toolName: "add", content: "not JSON", isError: true },
          ],
          tools: [{ name: "add", description: "Adds.", inputSchema }],
          seed: 1,
        },
        { signal: never },
      )
      .response();
    expect(body).toMatchObject({
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "1+1?" },
        {
          role: "assistant",
          content: null,
          tool_calls: [
            { id: "a", type: "function", function: { name: "add", arguments: '{"a":1}' } },
            { id: "b", type: "function", function: { name: "add", arguments: "{}" } },
          ],
        },
        { role: "tool", tool_call_id: "a", content: "2" },
        { role: "tool", tool_call_id: "b", content: "not JSON" },
      ],
      tools: [{ type: "function", function: { name: "add", description: "Adds.", parameters: inputSchema } }],
    });
  });

  const failure = (answer: Parameters<typeof serve>[0], options: { timeoutMs?: number } = {}) =>
    serve(answer).then(async (baseURL) => {
      const generated = openaiModel({ model: "m", baseURL, ...options }).generate(request, { signal: never });
      const iteration = await partsOf(generated).catch((cause) => cause);
      const response = await generated.response().catch((cause) => cause);
      expect(iteration).toBe(response);
      expect(response.message).toContain(`model "m" at ${baseURL}`);
      return response;
    });

  it("says what status the endpoint failed with, and whether trying again can help", async () => {
    const json = (status: number, headers = {}) =>
      failure((response) =>
        response
          .writeHead(status, { "content-type": "application/json", ...headers })
          .end(JSON.stringify({ error: { message: "no luck" } })),
      );
    expect(await json(500)).toMatchObject({
      code: "model/failed",
      status: 500,
      retryable: true,
      message: expect.stringMatching(/failed with status 500: no luck; the endpoint is in trouble; try again later$/),
    });
    expect(await json(429, { "retry-after": "3" })).toMatchObject({ status: 429, retryable: true, retryAfterMs: 3000 });
    expect(await json(401)).toMatchObject({
      status: 401,
      retryable: false,
      message: expect.stringContaining("check the API key"),
    });
    expect(await json(404)).toMatchObject({ retryable: false, message: expect.stringContaining("base URL") });
  });

  it("says that the endpoint sends garbage", async () => {
    const notJson = await failure((response) => stream(response).end("data: <html>\n\n"));
    expect(notJson).toMatchObject({ retryable: false, message: expect.stringContaining("is not JSON") });
    const notAStream = "is not a chat completion stream";
    const html = await failure((response) => response.writeHead(200, { "content-type": "text/html" }).end("<html>"));
    expect(html).toMatchObject({ retryable: false, message: expect.stringContaining(notAStream) });
    const empty = await failure((response) => stream(response).end());
    expect(empty).toMatchObject({ message: expect.stringContaining(notAStream) });
    const other = await failure((response) => stream(response).end(sse({ hello: "world" })));
    expect(other).toMatchObject({ message: expect.stringContaining(notAStream) });
  });

  it("says that the endpoint broke off, refused the connection, or closed it without a word", async () => {
    const half = await failure((response) => {
      stream(response).write(`data: ${JSON.stringify(delta({ content: "Hel" }))}\n\n`, () => response.destroy());
    });
    expect(half).toMatchObject({ retryable: true, message: expect.stringContaining("broke off") });
    const unfinished = await failure((response) => stream(response).end(sse(delta({ content: "Hel" }))));
    expect(unfinished).toMatchObject({
      retryable: true,
      message: expect.stringContaining("before the response was whole"),
    });
    const closed = await failure((response) => response.destroy());
    expect(closed).toMatchObject({ retryable: true });
    const refused = await openaiModel({ model: "m", baseURL: "http://127.0.0.1:1/v1" })
      .generate(request, { signal: never })
      .response()
      .catch((cause) => cause);
    expect(refused).toMatchObject({ retryable: true, message: expect.stringMatching(/ECONNREFUSED|bad port/) });
  });

  it("gives up on an endpoint that falls silent, before the response and within it", async () => {
    const mute = await failure(() => {}, { timeoutMs: 30 });
    expect(mute).toMatchObject({ retryable: true, message: expect.stringContaining("sent nothing for 30 ms") });
    const stuck = await failure(
      (response) => stream(response).write(`data: ${JSON.stringify(delta({ content: "Hel" }))}\n\n`),
      { timeoutMs: 60 },
    );
    expect(stuck).toMatchObject({ retryable: true, message: expect.stringContaining("sent nothing for 60 ms") });
  });

  it("keeps what was written when it is aborted, and hangs up", async () => {
    let hungUp: () => void;
    const hangup = new Promise<void>((resolve) => {
      hungUp = resolve;
    });
    const baseURL = await serve((response) => {
      response.on("close", () => hungUp());
      stream(response).write(`data: ${JSON.stringify(delta({ content: "Hel" }))}\n\n`);
    });
    const controller = new AbortController();
    const generated = openaiModel({ model: "m", baseURL }).generate(request, { signal: controller.signal });
    for await (const part of generated) {
      expect(part).toEqual({ type: "text-delta", text: "Hel" });
      controller.abort();
    }
    expect(await generated.response()).toMatchObject({
      message: { content: "Hel" },
      finishReason: "aborted",
      usage: { outputTokens: 1 },
    });
    await hangup;
  });

  it("asks for a key before it asks OpenAI", () => {
    const { OPENAI_API_KEY, OPENAI_BASE_URL } = process.env;
    delete process.env.OPENAI_API_KEY;
    delete process.env.OPENAI_BASE_URL;
    try {
      expect(() => openaiModel({ model: "m" })).toThrow(/needs an API key; pass apiKey or set OPENAI_API_KEY/);
    } finally {
      if (OPENAI_API_KEY !== undefined) process.env.OPENAI_API_KEY = OPENAI_API_KEY;
      if (OPENAI_BASE_URL !== undefined) process.env.OPENAI_BASE_URL = OPENAI_BASE_URL;
    }
  });
});
