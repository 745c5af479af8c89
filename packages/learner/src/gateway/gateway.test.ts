import { createRandom } from "@afterstate/core";
import { manualClock, scriptedModel } from "@afterstate/core/testing";
import { afterEach, describe, expect, it, vi } from "vitest";
import { type ServedAgent, serveAgent } from "../testing/served-agent.js";
import { createGateway } from "./create-gateway.js";

let served: ServedAgent | undefined;
afterEach(() => served?.close());
const user = (content: string) => ({ role: "user", content });
const contentOf = async (response: Response) =>
  ((await response.json()) as { choices: readonly { message: { content: string } }[] }).choices[0]!.message.content;
const said = (content: string) => ({ role: "assistant", content });
const sessionsOf = async ({ events }: ServedAgent) => [...new Set((await events()).map(({ sessionId }) => sessionId))];

describe("a conversation", () => {
  it("is recognised by what was said, whatever the system message and white space do", async () => {
    served = await serveAgent(scriptedModel(["Hello. ", "Fine.", "Hello. ", "Ok."]));
    await served.chat({ messages: [{ role: "system", content: "It is 10:00." }, user("Hi")] });
    await served.chat({
      messages: [{ role: "system", content: "It is 10:01." }, user("Hi"), said("Hello."), user("And you?")],
    });
    expect(await sessionsOf(served)).toHaveLength(1);
    await served.chat({ messages: [user("Hi")] });
    await served.chat({ messages: [user("Hi"), said("Hello. "), user("What now?")], user: "somebody else" });
    expect(await sessionsOf(served)).toHaveLength(3);
    const nextStates = (await served.events()).filter(({ type }) => type === "next-state");
    expect(nextStates).toMatchObject([{ nextState: { kind: "user", text: "And you?" } }]);
  });

  it("is the one that is named, by header before body, and ends when it is said to be done", async () => {
    served = await serveAgent(scriptedModel(["1", "2"]));
    await served.chat({ messages: [user("a")], session_id: "in-body" }, { "x-session-id": "in-header" });
    await served.chat({ messages: [user("b")], session_id: "in-body", session_done: true });
    expect(await sessionsOf(served)).toEqual(["local.in-header", "local.in-body"]);
    await vi.waitFor(async () =>
      expect((await served!.events()).at(-1)).toMatchObject({
        sessionId: "local.in-body",
        type: "next-state",
        nextState: { kind: "closed", by: "header" },
      }),
    );
  });

  it("hears nothing of its side turns", async () => {
    served = await serveAgent(scriptedModel(["A title", "Hello."]));
    const side = await served.chat({ messages: [user("Name this")] }, { "x-turn-type": "side", "x-session-id": "s" });
    expect(await side.json()).toMatchObject({ choices: [{ message: { content: "A title" } }] });
    expect(await served.events()).toEqual([]);
    await served.chat({ messages: [user("Hi")] }, { "x-turn-type": "main", "x-session-id": "s" });
    expect((await served.events())[0]).toMatchObject({ type: "episode-start", sessionId: "local.s", userId: "local" });
  });

  it("is over when nobody has used it for a time", async () => {
    const clock = manualClock();
    served = await serveAgent(scriptedModel(["Hello."]), { clock, limits: { idleMs: 40 } });
    await served.chat({ messages: [user("Hi")] });
    clock.advance(40);
    await vi.waitFor(async () =>
      expect((await served!.events()).at(-1)).toMatchObject({
        type: "next-state",
        nextState: { kind: "closed", by: "idle" },
      }),
    );
    expect(await (await served.send("/metrics")).text()).toContain("afterstate_sessions_open 0");
  });
});

describe("limits", () => {
  it("refuse with 429 and how long to wait, in OpenAI's shape", async () => {
    served = await serveAgent(scriptedModel(["1"]), { limits: { requestsPerMinute: 1 }, clock: manualClock() });
    expect((await served.chat({ messages: [user("a")] })).status).toBe(200);
    const refused = await served.chat({ messages: [user("b")] });
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "60"]);
    expect(await refused.json()).toMatchObject({
      error: { type: "rate_limit_error", code: "rate_limit_exceeded", param: null },
    });
  });

  it("let requests wait in a queue that has an end", async () => {
    served = await serveAgent(scriptedModel([{ text: "1", hang: true }, "2"]), {
      limits: { running: 1, queued: 1, graceMs: 50 },
    });
    const leaving = new AbortController();
    const begun = new Promise((resolve) => served!.agent.events.on("text-delta", resolve));
    const body = { model: "m", messages: [user("a")] };
    const first = served.send("/v1/chat/completions", { method: "POST", body, signal: leaving.signal });
    await begun;
    const second = served.chat({ messages: [user("b")] });
    await vi.waitFor(async () =>
      expect(await (await served!.send("/metrics")).text()).toContain("afterstate_requests_queued 1"),
    );
    expect((await served.chat({ messages: [user("c")] })).status).toBe(429);
    leaving.abort();
    await expect(first).rejects.toThrow();
    expect(await contentOf(await second)).toBe("2");
  });

  it("hold for each key alone", async () => {
    served = await serveAgent(scriptedModel(["1", "2"]), {
      keys: ["first-key", "second-key"],
      limits: { requestsPerMinute: 1 },
      clock: manualClock(),
    });
    const statuses: number[] = [];
    for (const key of ["first-key", "second-key", "first-key"])
      statuses.push((await served.chat({ messages: [user("a")] }, { authorization: `Bearer ${key}` })).status);
    expect(statuses).toEqual([200, 200, 429]);
  });
});

describe("a gateway that stops", () => {
  it("lets a running response end, and takes no other", async () => {
    let goOn = () => {};
    const held = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    served = await serveAgent(scriptedModel([() => held.then(() => "Done.")]));
    const started = new Promise((resolve) => served!.agent.events.on("step-start", resolve));
    const running = served.chat({ messages: [user("a")] });
    await started;
    const closed = served.gateway.close();
    await expect(served.chat({ messages: [user("b")] })).rejects.toThrow();
    goOn();
    expect(await contentOf(await running)).toBe("Done.");
    await closed;
  });

  it("cuts off what takes longer than the grace time, and the log keeps what was written", async () => {
    served = await serveAgent(scriptedModel([{ text: "Once", hang: true }]), { limits: { graceMs: 20 } });
    const response = await served.chat({ messages: [user("a")], stream: true });
    const text = response.text();
    await served.gateway.close();
    expect(await text).toContain('"code":"stopping"');
    expect((await served.events()).find(({ type }) => type === "action")).toMatchObject({
      action: { message: { content: "Once" } },
    });
  });
});

describe("what is asked about a gateway", () => {
  it("is answered without a key for its health, and with one for its metrics", async () => {
    served = await serveAgent(scriptedModel(["Hello."]), { keys: ["some-key"] });
    expect(await (await served.send("/healthz")).json()).toEqual({ status: "ok", version: "m" });
    expect((await served.send("/metrics")).status).toBe(401);
    const headers = { authorization: "Bearer some-key" };
    await served.chat({ messages: [user("Hi")] }, headers);
    const metrics = await served.send("/metrics", { headers });
    expect(metrics.headers.get("content-type")).toContain("text/plain");
    const text = await metrics.text();
    expect(text).toContain('afterstate_requests_total{route="/v1/chat/completions",status="200"} 1');
    expect(text).toContain("afterstate_time_to_first_token_seconds_count 1");
    expect(text).toContain('afterstate_tokens_total{kind="output"} 1');
  });

  it("without keys is this machine's own business", async () => {
    served = await serveAgent(scriptedModel([]));
    const gateway = createGateway({
      agent: served.agent,
      log: { read: async function* () {} } as never,
      modelName: "m",
      keys: [],
    });
    await expect(gateway.listen(0, "0.0.0.0")).rejects.toMatchObject({ code: "gateway/bad-option" });
    expect(() =>
      createGateway({ agent: served!.agent, log: undefined as never, modelName: "m", keys: ["short"] }),
    ).toThrow("at least 8");
  });
});

describe("bodies of random bytes and random changes of good ones", () => {
  it("are 4xx or answered, and the gateway goes on", async () => {
    const model = scriptedModel(Array.from({ length: 400 }, () => "ok"));
    served = await serveAgent(model, { limits: { requestsPerMinute: 100_000 } });
    const random = createRandom(4);
    const good = JSON.stringify({
      model: "m",
      messages: [
        user("Hi"),
        {
          role: "assistant",
          content: null,
          tool_calls: [{ id: "c", type: "function", function: { name: "f", arguments: "{}" } }],
        },
        { role: "tool", tool_call_id: "c", content: "1" },
      ],
      tools: [{ type: "function", function: { name: "f", parameters: { type: "object" } } }],
      temperature: 1,
      stream: false,
    });
    const statuses = new Set<number>();
    for (let i = 0; i < 300; i++) {
      const bytes = Buffer.from(
        i % 3 === 0 ? Array.from({ length: random.integer(200) }, () => random.integer(256)) : good,
      );
      if (i % 3 > 0)
        for (let changes = 1 + random.integer(4); changes > 0; changes--) {
          const at = random.integer(bytes.length);
          bytes[at] = random.pick([...Buffer.from('{}[]",:0null\\u'), random.integer(256)]);
        }
      const response = await served.send("/v1/chat/completions", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: new Uint8Array(bytes),
      });
      const body = (await response.json()) as { error?: { message: string; type: string } };
      statuses.add(response.status);
      if (response.status !== 200) expect(typeof body.error?.message).toBe("string");
      expect(response.status, bytes.toString()).toBeLessThan(500);
    }
    expect(statuses).toContain(400);
    expect((await served.chat({ messages: [user("Hi")] })).status).toBe(200);
  });
});
