import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type Agent, AgentError, type Clock, type EventLog, messageOf, systemClock } from "@afterstate/core";
import type { OnlineLearner } from "../online/learner-options.js";
import type { PolicyRuntime } from "../types.js";
import { type AdmissionLimits, openAdmission } from "./admission.js";
import { bearerKeys } from "./bearer-keys.js";
import { quoted } from "./chat-messages.js";
import { holdConversations } from "./conversations.js";
import { asGatewayError, GatewayError } from "./gateway-error.js";
import { openMetrics } from "./gateway-metrics.js";
import { readGatewayLog } from "./read-gateway-log.js";
import { readJsonBody } from "./read-json-body.js";
import { refuseMalformed } from "./refuse-malformed.js";
import { ROUTES, type RouteCall } from "./routes.js";
import { sendError } from "./send.js";

/** What a gateway takes on and waits for. */
export interface GatewayLimits extends AdmissionLimits {
  readonly bodyBytes: number;
  /** A conversation that nobody has used for so long is over. */
  readonly idleMs: number;
  /** What running responses are given when the gateway stops. */
  readonly graceMs: number;
}

/** What is taken on where nothing else is said. */
export const DEFAULT_LIMITS: GatewayLimits = {
  bodyBytes: 2 * 1024 * 1024,
  requestsPerMinute: 1200,
  concurrencyPerKey: 128,
  running: 64,
  queued: 256,
  idleMs: 30 * 60_000,
  graceMs: 30_000,
};

/** What a gateway stands in front of. */
export interface GatewayOptions {
  /** Started; its plugins learn from what comes through the gateway. It is not closed with the gateway. */
  readonly agent: Agent;
  /** The log that the agent writes: conversations that were open go on from it. */
  readonly log: EventLog;
  /** What clients call the model. */
  readonly modelName: string;
  /** Whose versions clients can name. Absent in front of a model that lives elsewhere. */
  readonly policy?: PolicyRuntime;
  /** Whose counts are in the metrics. */
  readonly learner?: Pick<OnlineLearner, "report">;
  /** Bearer keys. None: everybody who can reach the port on this machine is let in. */
  readonly keys: readonly string[];
  readonly limits?: Partial<GatewayLimits>;
  readonly clock?: Clock;
  /** Told of defects and of failures that clients see as 5xx. */
  readonly onFailure?: (error: AgentError) => void;
}

/** A server of OpenAI's chat completions API over an agent. */
export interface Gateway {
  /** Serves until it is closed. @returns where. @throws AgentError `gateway/port-unavailable`, `gateway/bad-option`. */
  listen(port: number, host?: string): Promise<{ readonly url: string }>;
  /**
   * Takes nothing more, lets running responses end within the grace time, and cuts off the others. Conversations stay open in the log, for
   * the reaction to an answer may come to the next process.
   */
  close(): Promise<void>;
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1|\[::1\])$/;
const SWEEPS_PER_IDLE_TIME = 4;
const MAX_SWEEP_MS = 60_000;
/** Longer than clients keep connections, so that they are the ones to hang up. */
const KEEP_ALIVE_MS = 75_000;
const REQUEST_MS = 60_000;
/** What a request that nobody waits for any more is counted as. */
const CLIENT_LEFT = 499;

/** Makes a gateway; nothing is opened before `listen`. @throws AgentError `gateway/bad-option`. */
export function createGateway(options: GatewayOptions): Gateway {
  const { agent, log, modelName, policy, learner, clock = systemClock, onFailure = () => {} } = options;
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  for (const [name, value] of Object.entries(limits))
    if (!(value > 0)) throw new AgentError("gateway/bad-option", `${name} is a number above 0, not ${value}`);
  const keys = bearerKeys(options.keys);
  const admission = openAdmission(limits, clock);
  /** Requests that are being answered, and what cuts them off. */
  const active = new Map<Promise<void>, AbortController>();
  let stopping = false;
  let server: Server | undefined;
  let release = () => {};

  const start = async () => {
    const { open, createdAt } = await readGatewayLog(log);
    const created = new Map(createdAt);
    const conversations = holdConversations(agent, { open, idleMs: limits.idleMs, clock });
    const metrics = openMetrics({
      events: agent.events,
      running: () => admission.running,
      queued: () => admission.queued,
      sessions: () => conversations.open,
      policy,
      report: learner && (() => learner.report()),
    });
    const stopListening = agent.events.on("policy-update", ({ candidate, time }) => void created.set(candidate, time));
    const closeIdle = () => void conversations.closeIdle().catch((cause) => onFailure(asGatewayError(cause)));
    const sweep = setInterval(closeIdle, Math.min(MAX_SWEEP_MS, limits.idleMs / SWEEPS_PER_IDLE_TIME));
    sweep.unref();
    release = () => {
      clearInterval(sweep);
      stopListening();
      metrics.dispose();
    };
    const agentVersion = () => policy?.serving ?? modelName;
    const startedAt = clock.now();
    const parts = { agent, policy, modelName, agentVersion, admission, conversations, metrics, clock, startedAt };
    return { parts, createdAt: created };
  };

  const serve = async (
    { parts, createdAt }: Pick<RouteCall, "parts" | "createdAt">,
    request: IncomingMessage,
    response: ServerResponse,
    abort: AbortController,
  ): Promise<void> => {
    const path = (request.url ?? "").split("?", 1)[0]!;
    const route = ROUTES.find((one) => one.path === path || (one.path.endsWith("/") && path.startsWith(one.path)));
    response.on("close", () => {
      if (!response.writableFinished) abort.abort(new GatewayError(CLIENT_LEFT, "the client left"));
    });
    try {
      if (route === undefined)
        throw new GatewayError(404, `there is no ${quoted(path)} here`, { apiCode: "not_found" });
      if (request.method !== route.method) {
        response.setHeader("allow", route.method);
        throw new GatewayError(405, `${route.path} takes ${route.method} alone`, { apiCode: "method_not_allowed" });
      }
      if (stopping) throw stops();
      if (!keys.required && !LOOPBACK.test((request.headers.host ?? "").replace(/:\d+$/, ""))) {
        const message = "a gateway without keys answers this machine alone, under its own name";
        throw new GatewayError(403, message, { apiCode: "unknown_host" });
      }
      const scope = route.open ? "" : keys.scopeOf(request.headers.authorization);
      const body = route.method === "POST" ? await readJsonBody(request, limits.bodyBytes) : {};
      await route.answer({ parts, createdAt, scope, body, request, response, abort, path });
    } catch (cause) {
      const error = asGatewayError(cause);
      if (error.status >= 500) onFailure(AgentError.isInstance(error.cause) ? error.cause : error);
      sendError(response, error);
    } finally {
      parts.metrics.request(route?.path ?? "unknown", response.writableEnded ? response.statusCode : CLIENT_LEFT);
    }
  };

  return {
    async listen(port, host = "127.0.0.1") {
      if (!keys.required && !LOOPBACK.test(host)) {
        const message = `a gateway that others can reach (host "${host}") needs keys; give it at least one`;
        throw new AgentError("gateway/bad-option", message);
      }
      const started = await start();
      server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS, requestTimeout: REQUEST_MS }, (request, response) => {
        const abort = new AbortController();
        const work = serve(started, request, response, abort).finally(() => active.delete(work));
        active.set(work, abort);
      });
      server.on("clientError", refuseMalformed);
      try {
        await opened(server, port, host);
      } catch (cause) {
        release();
        throw cause;
      }
      const { address, family, port: taken } = server.address() as AddressInfo;
      return { url: `http://${family === "IPv6" ? `[${address}]` : address}:${taken}` };
    },
    async close() {
      stopping = true;
      const closed = new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()));
      server?.closeIdleConnections();
      const cutOff = () => {
        for (const abort of active.values()) abort.abort(stops());
      };
      const timer = setTimeout(cutOff, limits.graceMs);
      while (active.size > 0) await Promise.all(active.keys());
      clearTimeout(timer);
      server?.closeAllConnections();
      await closed;
      release();
    },
  };
}

function stops(): GatewayError {
  const message = "the gateway stops; try again when it is back";
  return new GatewayError(503, message, { apiCode: "stopping", retryAfterSeconds: 1 });
}

async function opened(server: Server, port: number, host: string): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, host, () => {
        server.off("error", reject);
        resolve();
      });
    });
  } catch (cause) {
    const message = `port ${port} of ${host} cannot be opened: ${messageOf(cause)}; choose another one`;
    throw new AgentError("gateway/port-unavailable", message, { cause });
  }
}
