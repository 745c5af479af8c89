import { readFile } from "node:fs/promises";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { AgentError, type Feedback, messageOf } from "@afterstate/core";
import { createAdaptorServer } from "@hono/node-server";
import { Hono } from "hono";
import { streamSSE } from "hono/streaming";
import type { Chat } from "./chat.js";
import type { Display } from "./progress.js";
import { progressHistory } from "./progress-history.js";

/** The usual port; another one is taken when it is in use. */
export const USUAL_PORT = 4747;
const HOST = "127.0.0.1";
const BATCH_MS = 100;
const MAX_CHARACTERS = 2_000;

const ASSETS: Readonly<Record<string, readonly [file: string, type: string]>> = {
  "/": ["index.html", "text/html; charset=utf-8"],
  "/style.css": ["style.css", "text/css; charset=utf-8"],
  "/page.mjs": ["page.mjs", "text/javascript; charset=utf-8"],
  "/chart.mjs": ["chart.mjs", "text/javascript; charset=utf-8"],
};
const SECURITY =
  "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'";

/** The local page: shows progress live, and lets a person talk to the agent. */
export interface Dashboard extends Display {
  readonly url: string;
  /** From now on the page can talk to the agent. */
  connect(chat: Chat): void;
  close(): Promise<void>;
}

/**
 * Serves the page on this machine alone.
 * @param port the port that was asked for; without it the usual one or, when that is taken, a free one.
 * @throws AgentError `demo/port-unavailable` when the port that was asked for cannot be had.
 */
export async function openDashboard(port?: number): Promise<Dashboard> {
  const history = progressHistory();
  let chat: Chat | undefined;
  const app = dashboardApp(history, () => chat);
  const server = createAdaptorServer({ fetch: app.fetch }) as Server;
  await listen(server, port);
  return {
    url: `http://${HOST}:${(server.address() as AddressInfo).port}`,
    show: (progress) => history.add(progress),
    connect: (agentChat) => {
      chat = agentChat;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** The routes of the page, apart from any port. */
export function dashboardApp(history: ReturnType<typeof progressHistory>, chat: () => Chat | undefined): Hono {
  const app = new Hono();
  // Another site's page must not reach the agent through the visitor's browser, whatever name it gives this machine.
  app.use(async (context, next) => {
    const name = new URL(context.req.url).hostname;
    if (!["127.0.0.1", "localhost", "[::1]"].includes(name)) return context.text("unknown host", 403);
    const json = context.req.header("content-type")?.startsWith("application/json") ?? false;
    if (context.req.method === "POST" && !json) return context.text("send JSON", 415);
    context.header("content-security-policy", SECURITY);
    context.header("cache-control", "no-store");
    return next();
  });

  for (const [path, [file, type]] of Object.entries(ASSETS)) {
    app.get(path, async (context) => {
      const text = await readFile(new URL(`../page/${file}`, import.meta.url), "utf8");
      return context.body(text, 200, { "content-type": type });
    });
  }

  app.get("/api/progress", (context) =>
    streamSSE(context, async (stream) => {
      let from = 0;
      while (!stream.aborted && !stream.closed) {
        const batch = history.since(from);
        from = history.end();
        // An empty batch keeps the connection alive and finds out when it is gone.
        await stream.writeSSE({ data: JSON.stringify(batch) });
        await Promise.race([history.added(), stream.sleep(15_000)]);
        await stream.sleep(BATCH_MS);
      }
    }),
  );

  app.post("/api/chat", async (context) => {
    const { text, sessionId } = await bodyOf(context.req);
    const agentChat = chat();
    if (agentChat === undefined) return context.json({ error: "the agent is still loading" }, 409);
    if (typeof text !== "string" || text.trim() === "" || text.length > MAX_CHARACTERS) {
      return context.json({ error: `"text" is a message of 1 to ${MAX_CHARACTERS} characters` }, 400);
    }
    if (typeof sessionId !== "string" || !/^[\w-]{1,64}$/.test(sessionId)) {
      return context.json({ error: '"sessionId" is a name of letters, digits and dashes' }, 400);
    }
    return context.json(await agentChat.send({ sessionId, text }));
  });

  app.post("/api/feedback", async (context) => {
    const { episodeId, score, correction } = await bodyOf(context.req);
    const agentChat = chat();
    if (agentChat === undefined) return context.json({ error: "the agent is still loading" }, 409);
    if (typeof episodeId !== "string") return context.json({ error: '"episodeId" is the name of an answer' }, 400);
    const feedback: Feedback = {
      ...(typeof score === "number" && Math.abs(score) <= 1 ? { score } : {}),
      ...(typeof correction === "string" ? { correction: correction.slice(0, MAX_CHARACTERS) } : {}),
    };
    await agentChat.feedback(episodeId, feedback);
    return context.json({ kept: true });
  });

  app.onError((error, context) => context.json({ error: messageOf(error) }, 500));
  return app;
}

async function bodyOf(request: { json(): Promise<unknown> }): Promise<Record<string, unknown>> {
  const body = await request.json().catch(() => undefined);
  return typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
}

async function listen(server: Server, port: number | undefined): Promise<void> {
  const attempt = (number: number) =>
    new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(number, HOST, () => {
        server.off("error", reject);
        resolve();
      });
    });
  try {
    await attempt(port ?? USUAL_PORT);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (port === undefined && (code === "EADDRINUSE" || code === "EACCES")) return attempt(0);
    const reason =
      code === "EADDRINUSE"
        ? "is in use by another program"
        : code === "EACCES"
          ? "may not be opened by this user"
          : `cannot be opened: ${messageOf(cause)}`;
    throw new AgentError(
      "demo/port-unavailable",
      `port ${port ?? USUAL_PORT} ${reason}; choose another one with --port`,
      {
        cause,
      },
    );
  }
}
