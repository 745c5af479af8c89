import type { Feedback } from "@afterstate/core";
import { answerChat, type ChatCall, type ChatParts } from "./answer-chat.js";
import { quoted } from "./chat-messages.js";
import { stepOfCompletion } from "./completion-id.js";
import { badField, GatewayError } from "./gateway-error.js";
import { sendJson } from "./send.js";

/** A request on its way through a route. */
export interface RouteCall extends ChatCall {
  readonly parts: ChatParts;
  /** When each version was made, in milliseconds since the epoch. */
  readonly createdAt: ReadonlyMap<string, number>;
  readonly path: string;
}

/** One thing that the gateway does. */
export interface Route {
  /** A path that ends in "/" stands for all below it. */
  readonly path: string;
  readonly method: "GET" | "POST";
  /** Whether it asks for no key. */
  readonly open?: true;
  readonly answer: (call: RouteCall) => Promise<void>;
}

const MAX_CORRECTION = 10_000;

/** All routes. */
export const ROUTES: readonly Route[] = [
  { path: "/v1/chat/completions", method: "POST", answer: ({ parts, ...call }) => answerChat(parts, call) },
  { path: "/v1/models", method: "GET", answer: listModels },
  { path: "/v1/models/", method: "GET", answer: showModel },
  { path: "/v1/feedback", method: "POST", answer: takeFeedback },
  { path: "/metrics", method: "GET", answer: showMetrics },
  {
    path: "/healthz",
    method: "GET",
    open: true,
    answer: async ({ parts: { agentVersion }, response }) =>
      sendJson(response, 200, { status: "ok", version: agentVersion() }),
  },
];

async function listModels(call: RouteCall): Promise<void> {
  sendJson(call.response, 200, { object: "list", data: modelsOf(call) });
}

async function showModel(call: RouteCall): Promise<void> {
  let id: string;
  try {
    id = decodeURIComponent(call.path.slice("/v1/models/".length));
  } catch {
    throw new GatewayError(400, "the path is not well encoded", { apiCode: "invalid_value" });
  }
  const model = modelsOf(call).find((one) => one.id === id);
  if (model === undefined)
    throw new GatewayError(404, `the model ${quoted(id)} does not exist here; GET /v1/models lists those that do`, {
      apiCode: "model_not_found",
      param: "model",
    });
  sendJson(call.response, 200, model);
}

/** The model as it serves, and each version of it. */
function modelsOf({ parts: { modelName, policy, agentVersion, startedAt }, createdAt }: RouteCall) {
  const model = (id: string, version: string) => ({
    id,
    object: "model",
    created: Math.floor((createdAt.get(version) ?? startedAt) / 1000),
    owned_by: "afterstate",
  });
  const versions = policy?.versions.map((version) => model(`${modelName}@${version}`, version)) ?? [];
  return [model(modelName, agentVersion()), ...versions];
}

/** A judgement of an earlier completion, in so many words. Resolves once the log has it. */
async function takeFeedback({ parts: { agent }, scope, body, response }: RouteCall): Promise<void> {
  const { id, score, correction } = body;
  if (typeof id !== "string") throw badField("id", "id is the id of a completion");
  if (score !== undefined && !(typeof score === "number" && Math.abs(score) <= 1))
    throw badField("score", `score is between -1 and 1, not ${quoted(score)}`);
  if (
    correction !== undefined &&
    !(typeof correction === "string" && correction.trim() !== "" && correction.length <= MAX_CORRECTION)
  )
    throw badField("correction", `correction is a text of 1 to ${MAX_CORRECTION} characters`);
  if (score === undefined && correction === undefined)
    throw badField("score", "feedback has a score, a correction, or both");
  const step = stepOfCompletion(id);
  // What belongs to another key does not exist for this one.
  if (!step?.episodeId.startsWith(`${scope}.`))
    throw new GatewayError(404, `the completion ${quoted(id)} is not known here`, {
      apiCode: "completion_not_found",
      param: "id",
    });
  const feedback: Feedback = {
    ...(typeof score === "number" && { score }),
    ...(typeof correction === "string" && { correction }),
  };
  await agent.feedback(step.episodeId, feedback);
  sendJson(response, 200, { object: "feedback", id, kept: true });
}

async function showMetrics({ parts: { metrics }, response }: RouteCall): Promise<void> {
  const { contentType, body } = await metrics.text();
  response.writeHead(200, { "content-type": contentType });
  response.end(body);
}
