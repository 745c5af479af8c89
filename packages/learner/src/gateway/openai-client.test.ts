import { ModelError, memoryEventLog } from "@afterstate/core";
import { scriptedModel } from "@afterstate/core/testing";
import { APIError, OpenAI } from "openai";
import { afterEach, describe, expect, it } from "vitest";
import { fakePolicy } from "../testing/fake-policy.js";
import { type ServedAgent, serveAgent } from "../testing/served-agent.js";

let served: ServedAgent | undefined;
afterEach(() => served?.close());
const KEY = "a-key-for-tests";
const clientOf = ({ url }: ServedAgent, apiKey = KEY) => new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
const hi = { model: "m", messages: [{ role: "user", content: "Hi" } as OpenAI.ChatCompletionMessageParam] };
const weather = {
  type: "function",
  function: { name: "weather", description: "", parameters: { type: "object" } },
} as const;
const tokens = { promptIds: [1], ids: [72, 105, 33], logProbs: [-0.5, -0.25, -1], mask: [1, 1, 1], temperature: 1 };

describe("the official client", () => {
  it("gets an answer in one piece, with usage, version and log-probabilities", async () => {
    const model = scriptedModel([{ text: ["Hi", "!"], tokens, usage: { inputTokens: 9, outputTokens: 3 } }], {
      policyVersion: "base",
    });
    served = await serveAgent(model, { keys: [KEY], policy: fakePolicy() });
    const { data, response } = await clientOf(served)
      .chat.completions.create({ ...hi, logprobs: true, temperature: 0.5, max_tokens: 5, stop: ["x"], seed: 3 })
      .withResponse();
    expect(data).toMatchObject({
      object: "chat.completion",
      model: "m@base",
      system_fingerprint: "base",
      choices: [{ message: { role: "assistant", content: "Hi!" }, finish_reason: "stop" }],
      usage: { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12 },
    });
    expect(data.choices[0]!.logprobs!.content).toEqual([
      { token: "H", logprob: -0.5, bytes: [72], top_logprobs: [] },
      { token: "i", logprob: -0.25, bytes: [105], top_logprobs: [] },
      { token: "!", logprob: -1, bytes: [33], top_logprobs: [] },
    ]);
    expect(response.headers.get("x-policy-version")).toBe("base");
    expect(model.requests[0]).toMatchObject({ temperature: 0.5, maxTokens: 5, stop: ["x"] });
  });

  it("gets a stream while the model still writes, a chunk a delta, its usage last", async () => {
    let goOn = () => {};
    const held = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    // The model goes on only once the client has read its first word: a stream that is faked would never end.
    const slow = scriptedModel([]);
    const model = {
      ...slow,
      generate: () => {
        const response = held.then(() => ({
          message: { role: "assistant", content: "one two" } as const,
          finishReason: "stop" as const,
          usage: { inputTokens: 1, outputTokens: 2 },
          policyVersion: "scripted",
        }));
        return {
          response: () => response,
          async *[Symbol.asyncIterator]() {
            yield { type: "text-delta", text: "one" } as const;
            await held;
            yield { type: "text-delta", text: " two" } as const;
          },
        };
      },
    };
    served = await serveAgent(model);
    const stream = await clientOf(served).chat.completions.create({
      ...hi,
      stream: true,
      stream_options: { include_usage: true },
    });
    const contents: (string | null | undefined)[] = [];
    const chunks = [];
    for await (const chunk of stream) {
      chunks.push(chunk);
      const content = chunk.choices[0]?.delta.content;
      if (content) contents.push(content);
      if (content === "one") goOn();
    }
    expect(contents).toEqual(["one", " two"]);
    expect(chunks[0]).toMatchObject({ choices: [{ delta: { role: "assistant" } }], usage: null });
    expect(chunks.at(-2)).toMatchObject({ choices: [{ finish_reason: "stop" }] });
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { total_tokens: 3 } });
    expect(new Set(chunks.map(({ id, system_fingerprint }) => `${id} ${system_fingerprint}`)).size).toBe(1);
  });

  it("runs tools and goes on, as one episode whose results are its next state", async () => {
    const model = scriptedModel([{ toolCalls: [{ name: "weather", input: { city: "Bern" } }] }, "Rain.", "Welcome."]);
    served = await serveAgent(model);
    const client = clientOf(served);
    const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: "Weather in Bern?" }];
    const asked = await client.chat.completions.create({ model: "m", messages, tools: [weather] });
    expect(asked.choices[0]).toMatchObject({ finish_reason: "tool_calls", message: { content: null } });
    const call = asked.choices[0]!.message.tool_calls![0]!;
    expect(call).toMatchObject({ type: "function", function: { name: "weather", arguments: '{"city":"Bern"}' } });
    messages.push(asked.choices[0]!.message, { role: "tool", tool_call_id: call.id, content: "rain" });
    const told = await client.chat.completions.create({ model: "m", messages, tools: [weather] });
    messages.push(told.choices[0]!.message, { role: "user", content: "Thanks!" });
    await client.chat.completions.create({ model: "m", messages, tools: [weather], tool_choice: "none" });
    const events = await served.events();
    const sessions = new Set(events.map(({ sessionId }) => sessionId));
    expect(sessions.size).toBe(1);
    expect(events.flatMap((event) => (event.type === "next-state" ? [event.nextState] : []))).toMatchObject([
      { kind: "tool", results: [{ content: "rain", toolName: "weather" }] },
      { kind: "user", text: "Thanks!" },
    ]);
    expect(events.filter(({ type }) => type === "episode-start")).toHaveLength(2);
    expect(model.requests.map(({ tools }) => tools.length)).toEqual([1, 1, 0]);
  });

  it("streams tool calls", async () => {
    served = await serveAgent(
      scriptedModel([
        { text: "Let me see.", toolCalls: [{ name: "weather" }, { name: "weather", invalidInput: "{" }] },
      ]),
    );
    const stream = clientOf(served).chat.completions.stream({ ...hi, tools: [weather] });
    const { choices } = await stream.finalChatCompletion();
    expect(choices[0]!.message.tool_calls).toMatchObject([
      { id: "call-1", function: { name: "weather", arguments: "{}" } },
      { id: "call-2", function: { arguments: "{" } },
    ]);
  });

  it("asks for a version, lists versions, and is told of those that are not there", async () => {
    const policy = fakePolicy();
    policy.load("v1", new Map());
    const model = scriptedModel([{ text: "Old", policyVersion: "base" }]);
    served = await serveAgent(model, { policy });
    const client = clientOf(served);
    expect((await client.models.list()).data.map(({ id }) => id)).toEqual(["m", "m@base", "m@v1"]);
    expect(await client.models.retrieve("m@v1")).toMatchObject({ id: "m@v1", owned_by: "afterstate" });
    await client.chat.completions.create({ ...hi, model: "m@base" });
    expect(model.requests[0]).toMatchObject({ policyVersion: "base" });
    for (const name of ["m@v9", "gpt-4o", "m@"]) {
      const refused = client.chat.completions.create({ ...hi, model: name });
      await expect(refused).rejects.toMatchObject({ status: 404, code: "model_not_found", param: "model" });
    }
  });

  it("that leaves in the middle stops the model, and what was written stays in the log", async () => {
    served = await serveAgent(scriptedModel([{ text: ["Once", " upon"], hang: true }, "Again."]));
    const client = clientOf(served);
    const ended = new Promise((resolve) => served!.agent.events.on("episode-end", resolve));
    const stream = await client.chat.completions.create({ ...hi, stream: true });
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content === " upon") break;
    stream.controller.abort();
    await ended;
    const events = await served.events();
    expect(events.find(({ type }) => type === "action")).toMatchObject({
      action: { message: { content: "Once upon" } },
      finishReason: "aborted",
    });
    expect(events.find(({ type }) => type === "abort")).toMatchObject({ reason: "the client left" });
    const again = await client.chat.completions.create(hi);
    expect(again.choices[0]!.message.content).toBe("Again.");
  });

  it.each([
    ["429 with how long to wait", { status: 429, retryAfterMs: 7000 }, 429, "7"],
    ["502 for what is broken", { status: 500 }, 502, null],
    ["502 for a wrong key of ours", { status: 401 }, 502, null],
  ])("is told of a model behind that fails: %s", async (_, facts, status, retryAfter) => {
    const failures: string[] = [];
    served = await serveAgent(scriptedModel([{ error: new ModelError("the model behind is unwell", facts) }]), {
      onFailure: ({ code }) => failures.push(code),
    });
    const failure = await clientOf(served)
      .chat.completions.create(hi)
      .catch((cause: unknown) => cause);
    expect(failure).toBeInstanceOf(APIError);
    expect(failure).toMatchObject({ status });
    expect((failure as APIError).headers!.get("retry-after")).toBe(retryAfter);
    expect(failures).toEqual(status >= 500 ? ["model/failed"] : []);
  });

  it("is told in the stream when the model breaks off", async () => {
    served = await serveAgent(scriptedModel([{ text: "Once", error: new ModelError("gone") }]));
    const stream = await clientOf(served).chat.completions.create({ ...hi, stream: true });
    const read = async () => {
      for await (const _ of stream);
    };
    await expect(read()).rejects.toThrow("gone");
  });

  it("is known by its key, and what another key said does not exist for it", async () => {
    served = await serveAgent(scriptedModel(["One.", "Two."]), { keys: [KEY, "another-key"] });
    const [ann, bob] = [clientOf(served), clientOf(served, "another-key")];
    await expect(clientOf(served, "no-such-key").models.list()).rejects.toMatchObject({
      status: 401,
      code: "invalid_api_key",
    });
    const headers = { "x-session-id": "same" };
    const first = await ann.chat.completions.create(hi, { headers });
    await bob.chat.completions.create(hi, { headers });
    expect(new Set((await served.events()).map(({ sessionId }) => sessionId)).size).toBe(2);
    const judge = (client: OpenAI) =>
      client.post("/feedback", { body: { id: first.id, score: -1, correction: "be brief" } });
    await expect(judge(bob)).rejects.toMatchObject({ status: 404 });
    expect(await judge(ann)).toMatchObject({ kept: true });
    expect((await served.events()).at(-1)).toMatchObject({ type: "feedback", score: -1, correction: "be brief" });
  });
});

describe("a gateway that is started again", () => {
  it("goes on with open conversations, and takes feedback on earlier answers", async () => {
    const log = memoryEventLog();
    const first = await serveAgent(scriptedModel(["Hello."]), { log });
    const { id } = await clientOf(first).chat.completions.create(hi);
    await first.close();
    served = await serveAgent(scriptedModel(["Fine."]), { log });
    await served.chat({
      messages: [...hi.messages, { role: "assistant", content: "Hello." }, { role: "user", content: "How are you?" }],
    });
    await served.send("/v1/feedback", { method: "POST", body: { id, score: 1 } });
    const events = await served.events();
    expect(new Set(events.map(({ sessionId }) => sessionId)).size).toBe(1);
    expect(events.find(({ type }) => type === "next-state")).toMatchObject({
      nextState: { kind: "user", text: "How are you?" },
    });
    expect(events.at(-1)).toMatchObject({ type: "feedback", of: { stepIndex: 0 }, score: 1 });
  });
});
