import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openEventLog } from "@afterstate/core";
import { OpenAI } from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningProgram, root, runProgram, startProgram } from "./run-program.js";

const SERVE = join(root, "apps/serve/bin/afterstate.mjs");
const programs: RunningProgram[] = [];
let data = "";
beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), "afterstate-serve-"));
});
afterAll(async () => {
  for (const program of programs) program.kill("SIGKILL");
  await rm(data, { recursive: true, force: true });
});

async function serve(...options: string[]): Promise<{ readonly client: OpenAI; readonly program: RunningProgram }> {
  const program = startProgram(SERVE, ["serve", "--port", "0", ...options], { AFTERSTATE_KEYS: "a-key-for-tests" });
  programs.push(program);
  const line = await program.line((text) => text.startsWith("Afterstate serves"));
  const client = new OpenAI({ baseURL: line.split(" at ")[1]!, apiKey: "a-key-for-tests", maxRetries: 0 });
  return { client, program };
}

const question = { role: "user", content: "What is 12 + 30?" } as const;
const ask = (client: OpenAI, messages: OpenAI.ChatCompletionMessageParam[], seed = 1) =>
  client.chat.completions.create({ model: "embedded", messages, seed, logprobs: true, max_tokens: 24 });
/** A streamed answer, chunk by chunk, with the log-probabilities of its tokens. */
async function streamed(client: OpenAI, seed: number): Promise<readonly unknown[]> {
  const request = { model: "embedded", messages: [question], seed, logprobs: true, max_tokens: 24 };
  const parts: unknown[] = [];
  for await (const { choices } of await client.chat.completions.create({ ...request, stream: true })) {
    parts.push(choices);
  }
  return parts;
}

describe("npx afterstate serve", () => {
  it("streams the same tokens, to the bit of each log-probability, whether a learner stands by or not", async () => {
    const [off, on] = await Promise.all([serve("--learner", "off"), serve("--learner", "hybrid")]);
    for (const seed of [1, 2, 3]) {
      const parts = await streamed(off.client, seed);
      expect(parts.length).toBeGreaterThan(2);
      expect(await streamed(on.client, seed)).toEqual(parts);
    }
    for (const { program } of [off, on]) program.kill("SIGTERM");
    const ends = await Promise.all([off, on].map(({ program }) => program.ended));
    expect(ends.map(({ code, stderr }) => [code, stderr])).toEqual([
      [0, ""],
      [0, ""],
    ]);
  }, 60_000);

  it("goes on after a kill with its conversations, its log and feedback on what it said", async () => {
    const first = await serve("--data", data);
    const { id, choices } = await ask(first.client, [question]);
    first.program.kill("SIGKILL");
    await first.program.ended;
    const second = await serve("--data", data);
    await ask(second.client, [
      question,
      { role: "assistant", content: choices[0]!.message.content },
      { role: "user", content: "Thanks!" },
    ]);
    await second.client.post("/feedback", { body: { id, correction: "Just the number, please." } });
    second.program.kill("SIGTERM");
    await second.program.ended;
    const log = await openEventLog(join(data, "events"));
    const events = [];
    for await (const { event } of log.read(0)) events.push(event);
    await log.close();
    const nextStates = events.flatMap((event) => (event.type === "next-state" ? [event] : []));
    expect(nextStates).toMatchObject([{ of: { stepIndex: 0 }, nextState: { kind: "user", text: "Thanks!" } }]);
    expect(events.filter(({ type }) => type === "feedback")).toMatchObject([
      { of: nextStates[0]!.of, correction: "Just the number, please." },
    ]);
    expect(new Set(events.filter(({ sessionId }) => sessionId !== "").map(({ sessionId }) => sessionId)).size).toBe(1);
  }, 60_000);

  it("stands in front of another server, whose failures it tells", async () => {
    const behind = await serve("--learner", "off");
    const { program, client } = await serve("--upstream", `${behind.client.baseURL}`, "--model", "embedded");
    const refused = ask(client, [question]);
    await expect(refused).rejects.toMatchObject({ status: 400, param: "logprobs" });
    // The key of the server behind is the environment's, which has none.
    await expect(client.chat.completions.create({ model: "embedded", messages: [question] })).rejects.toMatchObject({
      status: 502,
    });
    for (const one of [program, behind.program]) one.kill("SIGTERM");
    await Promise.all([program.ended, behind.program.ended]);
  }, 60_000);

  it("learns in words in front of a model that lives elsewhere", async () => {
    const asked: { messages: { role: string; content: string }[] }[] = [];
    const hosted = createServer((request, response) => {
      let body = "";
      request.on("data", (part) => {
        body += part;
      });
      request.on("end", () => {
        asked.push(JSON.parse(body));
        const chunk = { id: "1", object: "chat.completion.chunk", created: 0, model: "hosted" };
        const choices = [
          { index: 0, delta: { role: "assistant", content: "The answer is 42." }, finish_reason: "stop" },
        ];
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.end(`data: ${JSON.stringify({ ...chunk, choices })}\n\ndata: [DONE]\n\n`);
      });
    });
    const port = await new Promise<number>((resolve) => {
      hosted.listen(0, "127.0.0.1", () => resolve((hosted.address() as AddressInfo).port));
    });
    const options = ["--upstream", `http://127.0.0.1:${port}/v1`, "--model", "hosted", "--try", "Take your time."];
    const { client, program } = await serve(...options);
    const say = (...messages: OpenAI.ChatCompletionMessageParam[]) =>
      client.chat.completions.create({ model: "hosted", messages });
    const wish = { role: "user", content: "Just the number, please." } as const;
    await say(question);
    await say(question, { role: "assistant", content: "The answer is 42." }, wish);
    // The wish is read off the log beside the requests: it is asked again until it is known.
    const seenLater = async () => {
      await say({ role: "user", content: `What is ${asked.length} + 7?` });
      return asked.at(-1)!.messages[0]!.content;
    };
    await expect.poll(seenLater, { timeout: 20_000 }).toContain("Just the number, please.");
    program.kill("SIGTERM");
    expect((await program.ended).code).toBe(0);
    hosted.close();
  }, 60_000);

  it("refuses what it does not understand with one sentence", async () => {
    const { code, stderr, stdout } = await runProgram(SERVE, ["serve", "--port", "none"]);
    expect([code, stdout, stderr.trim().split("\n").length]).toEqual([2, "", 1]);
  });

  it("refuses to answer other machines without a key", async () => {
    const { code, stderr } = await runProgram(SERVE, ["serve", "--host", "0.0.0.0", "--port", "0", "--learner", "off"]);
    expect([code, stderr.includes("needs keys")]).toEqual([1, true]);
  });
});
