// What the agent loop itself costs: a step with one validated tool call, a streamed token, a parallel tool call, in µs.
// An instant model, the same for our loop and for a hand-written one in the same run. Events are iterated, a listener and
// a hook are installed; marks are those of the design.
import { createAgent, defineTool, memoryEventLog } from "@afterstate/core";
import { z } from "zod";

const ROUNDS = 25;
const WARM_UP = 5;
const STEPS = 20;
const TOKENS = 2_000;
const CALLS = 50;

const input = z.object({ a: z.number(), b: z.number() });
const add = defineTool({ description: "Adds two numbers.", input, execute: ({ a, b }) => String(a + b) });
const usage = { inputTokens: 1, outputTokens: 1 };
const noAbort = new AbortController().signal;

/** A model that answers at once: `steps` steps with `calls` tool calls each, then an answer of `tokens` tokens. */
function instantModel({ steps, calls, tokens }) {
  const toolCalls = Array.from({ length: calls }, (_, i) => ({ id: `call-${i}`, name: "add", input: { a: i, b: 1 } }));
  const toolParts = toolCalls.map((call) => ({ type: "tool-call", call }));
  const toolResponse = {
    message: { role: "assistant", content: "", toolCalls },
    finishReason: "tool-calls",
    usage,
    policyVersion: "instant",
  };
  const textParts = Array.from({ length: tokens }, () => ({ type: "text-delta", text: "token " }));
  const content = textParts.map(({ text }) => text).join("");
  const answer = { message: { role: "assistant", content }, finishReason: "stop", usage, policyVersion: "instant" };
  const stream = (parts, response) => ({
    async *[Symbol.asyncIterator]() {
      yield* parts;
    },
    response: async () => response,
  });
  let taken = 0;
  return {
    name: "instant",
    policyVersion: () => "instant",
    generate() {
      if (taken++ < steps) return stream(toolParts, toolResponse);
      taken = 0;
      return stream(textParts, answer);
    },
  };
}

/** The loop that one would write by hand: call, stream, validate, run the tools, go on. */
async function handWritten(model) {
  const messages = [{ role: "user", content: "go" }];
  for (;;) {
    const stream = model.generate({ messages, tools: [], seed: 0 }, { signal: noAbort });
    let text = "";
    for await (const part of stream) if (part.type === "text-delta") text += part.text;
    const { message } = await stream.response();
    messages.push(message);
    if (message.toolCalls === undefined) return text;
    const results = await Promise.all(
      message.toolCalls.map(async (call) => ({ call, content: await add.execute(input.parse(call.input)) })),
    );
    for (const { call, content } of results) {
      messages.push({ role: "tool", toolCallId: call.id, toolName: call.name, content });
    }
  }
}

/** Our loop, with a log when asked. */
async function ours(model, log) {
  const hook = { beforeToolCall: () => undefined };
  const agent = await createAgent({
    model,
    seed: 1,
    budget: { maxSteps: 1_000 },
    plugins: [{ name: "sums", tools: { add }, hooks: hook }],
    ...(log ? { log: memoryEventLog() } : {}),
  });
  let heard = 0;
  agent.events.onAny(() => {
    heard += 1;
  });
  return {
    heard: () => heard,
    async run() {
      const run = agent.stream({ prompt: "go" });
      for await (const _event of run) heard += 1;
      const { stopReason } = await run.result();
      if (stopReason !== "answered") throw new Error(`the run ended with ${stopReason}`);
    },
    close: () => agent.close(),
  };
}

/** What is measured: the hand-written loop, ours, and ours with every event kept in a log. */
const LOOPS = {
  handWritten: async (model) => ({ run: () => handWritten(model), close: () => {} }),
  microseconds: (model) => ours(model, false),
  withLog: (model) => ours(model, true),
};

/**
 * The cost of one unit in µs: what a run with `many` costs more than one with `few`, the median over rounds.
 * Loops take turns within a round, so that whatever else the machine does meets all of them.
 */
async function costs({ few, many, units, repeats }) {
  const loops = [];
  for (const [name, open] of Object.entries(LOOPS)) {
    loops.push({ name, few: await open(instantModel(few)), many: await open(instantModel(many)), differences: [] });
  }
  for (let round = 0; round < WARM_UP + ROUNDS; round++) {
    for (const { few, many, differences } of loops) {
      const difference = (await elapsed(many.run, repeats)) - (await elapsed(few.run, repeats));
      if (round >= WARM_UP) differences.push((difference * 1000) / repeats / units);
    }
  }
  for (const { few, many } of loops) await Promise.all([few.close(), many.close()]);
  return Object.fromEntries(loops.map(({ name, differences }) => [name, median(differences)]));
}

async function elapsed(call, repeats) {
  const start = performance.now();
  for (let i = 0; i < repeats; i++) await call();
  return performance.now() - start;
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

const CASES = [
  {
    measure: "step",
    few: { steps: 0, calls: 1, tokens: 1 },
    many: { steps: STEPS, calls: 1, tokens: 1 },
    units: STEPS,
    repeats: 100,
    mark: 15,
  },
  {
    measure: "streamed token",
    few: { steps: 0, calls: 0, tokens: 1 },
    many: { steps: 0, calls: 0, tokens: TOKENS },
    units: TOKENS - 1,
    repeats: 20,
    mark: 1,
  },
  {
    measure: "parallel tool call",
    few: { steps: 1, calls: 1, tokens: 1 },
    many: { steps: 1, calls: CALLS, tokens: 1 },
    units: CALLS - 1,
    repeats: 100,
  },
];

for (const { measure, mark, ...shape } of CASES) {
  const { handWritten, microseconds, withLog } = await costs(shape);
  const result = {
    measure,
    microseconds: round(microseconds),
    withLog: round(withLog),
    handWritten: round(handWritten),
    ratio: round(microseconds / handWritten),
    ...(mark === undefined ? {} : { mark, withinMark: microseconds < mark }),
  };
  console.log(JSON.stringify(result));
}

function round(value) {
  return Math.round(value * 1000) / 1000;
}
