// Time to first token of 64 streaming clients while the policy learns from them, is promoted and rolled back, beside the same load on the
// same policy while updates wait. Clients are the official openai client in this process, the server is another; each client is one
// simulated user after the other, who asks, reads, thinks, and reacts in words. A request's time is from the call to the first text or
// tool call that the client sees. Stretches with updates and without take turns, so that both meet every stage of the policy: what it has
// learned changes how many requests a conversation takes. `withinMark`: none refused, none broken, at least 5 promotions, a rollback and
// 6 versions seen, one version a response, and a p99 of at most 1.5 times that without updates. SECONDS and THINK_MS change the load.
import { fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createRandom, mixSeed } from "@afterstate/core";
import { createSimulatedUsers, loadHomework, nameMemory } from "@afterstate/learner/homework";
import { calculatorTool } from "@afterstate/plugins-tools";
import { OpenAI } from "openai";

const SERVER = fileURLToPath(new URL("parts/learning-server.mjs", import.meta.url));
const SEED = 7;
const CLIENTS = 64;
const SECONDS = Number(process.env.SECONDS ?? 180);
/** With updates and without, in turn; without, two thirds of the time. */
const STRETCHES = 6;
const STRETCH_SECONDS = { learning: SECONDS / STRETCHES, without: (SECONDS * 2) / (3 * STRETCHES) };
/** Mean of an exponential distribution. */
const THINK_MS = Number(process.env.THINK_MS ?? 5000);
/** Before the first stretch, and before every one: what starts then is not measured. */
const WARM_UP_SECONDS = 20;
const CHANGE_SECONDS = 2;
const BATCH_EPISODES = Number(process.env.BATCH_EPISODES ?? 48);
/** The third with updates. */
const ROLLBACK_STRETCH = 4;
const MAX_STEPS = 4;
/** A user whose conversation is longer than the policy reads has had enough of it. */
const MAX_CHARACTERS = 600;
const MARKS = { ratio: 1.5, promotions: 5, rollbacks: 1, versions: 6 };

const schema = calculatorTool.input["~standard"].jsonSchema.input({ target: "draft-2020-12" });
const tools = [
  { type: "function", function: { name: "calculator", description: calculatorTool.description, parameters: schema } },
];
const homework = loadHomework();

const server = await startServer();
process.stderr.write(`${server.ready.backend}, trainer ${server.ready.trainer}\n`);
const parts = { learning: { requests: [], loops: [] }, without: { requests: [], loops: [] } };
let measured; // the part that requests belong to that start now
const clients = startClients(server.ready.url);
await wait(WARM_UP_SECONDS * 1000);
for (let stretch = 0; stretch < 2 * STRETCHES; stretch++) {
  const part = stretch % 2 === 0 ? "learning" : "without";
  server.child.send(part === "learning" ? "resume" : "pause");
  await wait(CHANGE_SECONDS * 1000);
  server.child.send("measure");
  measured = parts[part];
  if (stretch === ROLLBACK_STRETCH) server.child.send("rollback");
  await wait(STRETCH_SECONDS[part] * 1000);
  measured = undefined;
  server.child.send("measured");
}
await clients.stop();
for (const [index, loop] of server.told.filter(({ type }) => type === "event-loop").entries())
  (index % 2 === 0 ? parts.learning : parts.without).loops.push({ p99: round(loop.p99), max: round(loop.max) });
await server.stop();

const with_ = summarise(parts.learning.requests, SECONDS);
const without = summarise(parts.without.requests, STRETCHES * STRETCH_SECONDS.without);
const promotions = server.told.filter(({ type }) => type === "promotion").length;
const rollbacks = server.told.filter(({ type }) => type === "rollback").length;
const versions = new Set(parts.learning.requests.flatMap((one) => one.versions));
const p99Ratio = with_.firstTokenMs.p99 / without.firstTokenMs.p99;
const clean = [with_, without].every(({ refused, broken, mixed }) => refused + broken + mixed === 0);
for (const { code, message } of server.told.filter(({ type }) => type === "trouble"))
  process.stderr.write(`${code}: ${message}\n`);
console.log(
  JSON.stringify({
    clients: CLIENTS,
    seconds: SECONDS,
    thinkMs: THINK_MS,
    backend: server.ready.backend,
    learning: with_,
    without,
    p99Ratio: round(p99Ratio),
    updates: server.told.filter(({ type }) => type === "update").length,
    promotions,
    rollbacks,
    versions: versions.size,
    eventLoopMs: { learning: parts.learning.loops, without: parts.without.loops },
    withinMark:
      clean &&
      p99Ratio <= MARKS.ratio &&
      promotions >= MARKS.promotions &&
      rollbacks >= MARKS.rollbacks &&
      versions.size >= MARKS.versions,
  }),
);

async function startServer() {
  const child = fork(SERVER, [SEED, BATCH_EPISODES], { stdio: ["ignore", 2, "inherit", "ipc"] });
  const told = [];
  const [ready] = await once(child, "message");
  child.on("message", (message) => told.push(message));
  return {
    ready,
    told,
    child,
    async stop() {
      child.send("stop");
      await once(child, "exit");
    },
  };
}

/** Holds conversations until it is stopped. */
function startClients(url) {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
  const users = createSimulatedUsers(homework, { seed: SEED, firstSession: 100_000 });
  let over = false;
  const running = Array.from({ length: CLIENTS }, async (_, index) => {
    const random = createRandom(mixSeed(SEED, index));
    const think = () => wait(-Math.log(1 - random.next()) * THINK_MS);
    await wait(random.next() * THINK_MS);
    while (!over) await converse(client, users.session(), think, () => over);
  });
  return {
    stop() {
      over = true;
      return Promise.all(running);
    },
  };
}

/** One session: the question, the answer, the reaction, and so on until the user leaves. */
async function converse(client, session, think, isOver) {
  const messages = [
    { role: "system", content: nameMemory(session.name) },
    { role: "user", content: session.opening },
  ];
  const headers = { "x-session-id": `${session.sessionId}` };
  for (let leaves = false; !isOver(); ) {
    let answer;
    for (let step = 0; step < MAX_STEPS && answer === undefined; step++) {
      if (JSON.stringify(messages).length > MAX_CHARACTERS) return;
      const isLast = leaves && step === 0;
      const message = await ask(client, messages, isLast ? { ...headers, "x-session-done": "1" } : headers);
      if (message === undefined) return;
      messages.push(message);
      if (!message.tool_calls) answer = message.content;
      for (const { id, function: call } of message.tool_calls ?? [])
        messages.push({ role: "tool", tool_call_id: id, content: calculate(call.arguments) });
    }
    if (answer === undefined || leaves) return;
    await think();
    const reaction = session.react(answer);
    messages.push({ role: "user", content: reaction.text });
    leaves = reaction.leaves;
  }
}

/** One request, measured in the part in which it starts. @returns the message, or undefined when there was none. */
async function ask(client, messages, headers) {
  const at = performance.now();
  const one = {
    firstTokenMs: undefined,
    totalMs: undefined,
    chunks: 0,
    versions: [],
    refused: false,
    broken: false,
  };
  measured?.requests.push(one);
  let content = "";
  let calls;
  try {
    const request = { model: "embedded", messages, tools, stream: true, max_tokens: 48 };
    const { data, response } = await client.chat.completions.create(request, { headers }).withResponse();
    const versions = new Set([response.headers.get("x-policy-version")]);
    let finished = false;
    for await (const { choices, system_fingerprint, model } of data) {
      versions.add(system_fingerprint);
      versions.add(model.split("@")[1]);
      const { delta, finish_reason } = choices[0];
      if (delta.content || delta.tool_calls) one.firstTokenMs ??= performance.now() - at;
      if (delta.content) one.chunks += 1;
      content += delta.content ?? "";
      if (delta.tool_calls) calls = delta.tool_calls.map(({ index, ...call }) => call);
      finished ||= finish_reason !== null;
    }
    one.versions = [...versions];
    one.broken = !finished;
  } catch (cause) {
    one.refused = cause.status !== undefined;
    one.broken = !one.refused;
    process.stderr.write(`${cause.message}\n`);
    return undefined;
  }
  one.totalMs = performance.now() - at;
  one.firstTokenMs ??= one.totalMs; // an answer without a word
  return calls ? { role: "assistant", content: content || null, tool_calls: calls } : { role: "assistant", content };
}

function calculate(text) {
  try {
    return String(calculatorTool.execute(JSON.parse(text)));
  } catch (cause) {
    return String(cause.message);
  }
}

function summarise(requests, seconds) {
  const count = (of) => requests.filter(of).length;
  const spread = (of) => {
    const sorted = requests.flatMap((one) => of(one) ?? []).sort((a, b) => a - b);
    const at = (share) => round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]);
    return { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) };
  };
  return {
    requests: requests.length,
    requestsPerSecond: round(requests.length / seconds),
    refused: count(({ refused }) => refused),
    broken: count(({ broken }) => broken),
    /** Responses whose parts named more than one version. */
    mixed: count(({ versions }) => versions.length > 1),
    firstTokenMs: spread(({ firstTokenMs }) => firstTokenMs),
    totalMs: spread(({ totalMs }) => totalMs),
  };
}

function round(number) {
  return Math.round(number * 100) / 100;
}
