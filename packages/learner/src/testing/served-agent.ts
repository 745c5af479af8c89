import {
  type Agent,
  type AgentEvent,
  createAgent,
  type EventLog,
  type LanguageModel,
  memoryEventLog,
  type Plugin,
} from "@afterstate/core";
import { readLog } from "@afterstate/core/testing";
import { createGateway, type Gateway, type GatewayLimits, type GatewayOptions } from "../gateway/create-gateway.js";

/** A gateway over an agent with a scripted model, on a port of its own. */
export interface ServedAgent {
  readonly url: string;
  readonly agent: Agent;
  readonly gateway: Gateway;
  /** What the log holds. */
  events(): Promise<readonly AgentEvent[]>;
  /** A request to the gateway; an object as body is sent as JSON. */
  send(
    path: string,
    init?: { method?: string; headers?: Record<string, string>; body?: unknown; signal?: AbortSignal },
  ): Promise<Response>;
  /** A chat completion of the model "m". */
  chat(body: Record<string, unknown>, headers?: Record<string, string>): Promise<Response>;
  close(): Promise<void>;
}

/** Serves a model. */
export async function serveAgent(
  model: LanguageModel,
  options: Partial<GatewayOptions> & {
    readonly limits?: Partial<GatewayLimits>;
    readonly plugins?: readonly Plugin[];
    readonly log?: EventLog;
  } = {},
): Promise<ServedAgent> {
  const { log = memoryEventLog(), plugins = [], ...rest } = options;
  const agent = await createAgent({ model, seed: 1, log, plugins });
  const gateway = createGateway({ agent, log, modelName: "m", keys: [], ...rest });
  const { url } = await gateway.listen(0);
  const send: ServedAgent["send"] = (path, { method = "GET", headers = {}, body, signal } = {}) =>
    fetch(`${url}${path}`, {
      method,
      headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
      ...(body !== undefined && {
        body: typeof body === "string" || body instanceof Uint8Array ? (body as string) : JSON.stringify(body),
      }),
      ...(signal && { signal }),
    });
  return {
    url,
    agent,
    gateway,
    events: async () => (await readLog(log)).map(({ event }) => event),
    send,
    chat: (body, headers = {}) =>
      send("/v1/chat/completions", { method: "POST", headers, body: { model: "m", ...body } }),
    async close() {
      await gateway.close();
      await agent.close();
    },
  };
}
