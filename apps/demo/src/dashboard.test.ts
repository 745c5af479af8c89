import { createServer } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import type { Chat } from "./chat.js";
import { type Dashboard, openDashboard } from "./dashboard.js";
import type { Progress } from "./progress.js";

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const thing of opened.splice(0).reverse()) await thing.close();
});

const open = async (port?: number): Promise<Dashboard> => {
  const dashboard = await openDashboard(port);
  opened.push(dashboard);
  return dashboard;
};

/** A port that another program holds. */
const takenPort = async (): Promise<number> => {
  const server = createServer();
  opened.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as { port: number }).port;
};

/** Without keep-alive: the next test's server may get the same port. */
const request = (url: string, init: RequestInit = {}) =>
  fetch(url, { ...init, headers: { connection: "close", ...(init.headers as Record<string, string>) } });

const post = (url: string, body: unknown, headers: Record<string, string> = { "content-type": "application/json" }) =>
  request(url, { method: "POST", headers, body: JSON.stringify(body) });

const loading: Progress = { type: "loading", text: "reading the policy" };

describe("the page", () => {
  it("serves everything itself and allows nothing else", async () => {
    const { url } = await open();
    for (const path of ["/", "/style.css", "/page.mjs", "/chart.mjs"]) {
      const reply = await request(url + path);
      expect(reply.status).toBe(200);
      expect(reply.headers.get("content-security-policy")).toContain("default-src 'none'");
      const text = await reply.text();
      expect(text.replaceAll("http://www.w3.org/2000/svg", "")).not.toMatch(/https?:\/\//);
    }
    expect((await request(`${url}/nothing`)).status).toBe(404);
  });

  it("tells a late visitor what came before, then what comes", async () => {
    const dashboard = await open();
    dashboard.show(loading);
    const abort = new AbortController();
    const reply = await request(`${dashboard.url}/api/progress`, { signal: abort.signal });
    const reader = reply.body!.pipeThrough(new TextDecoderStream()).getReader();
    expect((await reader.read()).value).toBe(`data: ${JSON.stringify([loading])}\n\n`);
    dashboard.show({ ...loading, text: "more" });
    expect((await reader.read()).value).toBe(`data: ${JSON.stringify([{ ...loading, text: "more" }])}\n\n`);
    abort.abort();
  });

  it("hands messages and feedback to the agent, and refuses what is none", async () => {
    const { url, connect } = await open();
    expect((await post(`${url}/api/chat`, { sessionId: "s", text: "hi" })).status).toBe(409);
    const kept: unknown[] = [];
    const chat: Chat = {
      send: async (message) => ({ answer: `${message.text}!`, episodeId: "e1", policyVersion: "v1" }),
      feedback: async (...args) => void kept.push(args),
      end: async () => {},
    };
    connect(chat);
    const reply = await post(`${url}/api/chat`, { sessionId: "s", text: "hi" });
    expect(await reply.json()).toEqual({ answer: "hi!", episodeId: "e1", policyVersion: "v1" });
    await post(`${url}/api/feedback`, { episodeId: "e1", score: -1, correction: "say it shorter" });
    expect(kept).toEqual([["e1", { score: -1, correction: "say it shorter" }]]);
    expect((await post(`${url}/api/chat`, { sessionId: "s", text: " " })).status).toBe(400);
    expect((await post(`${url}/api/chat`, { sessionId: "s", text: "x".repeat(2001) })).status).toBe(400);
    expect((await post(`${url}/api/chat`, { sessionId: "../s", text: "hi" })).status).toBe(400);
    expect((await post(`${url}/api/chat`, "no object")).status).toBe(400);
  });

  it("cannot be used by another site's page", async () => {
    const { url } = await open();
    const form = { "content-type": "text/plain" };
    expect((await post(`${url}/api/chat`, { sessionId: "s", text: "hi" }, form)).status).toBe(415);
  });
});

describe("the port", () => {
  it("is the one that was asked for, or a sentence", async () => {
    const port = await takenPort();
    await expect(openDashboard(port)).rejects.toMatchObject({
      code: "demo/port-unavailable",
      message: `port ${port} is in use by another program; choose another one with --port`,
    });
  });

  it("is another one when the usual one is taken", async () => {
    const [first, second] = [await open(), await open()];
    expect(first.url).not.toBe(second.url);
  });
});
