import { PassThrough } from "node:stream";
import { expect, it } from "vitest";
import type { Chat } from "./chat.js";
import { terminalChat } from "./terminal-chat.js";

/** What the chat was asked to do, for lines typed one after the other. */
const typed = async (...lines: string[]) => {
  const calls: unknown[] = [];
  const chat: Chat = {
    send: async ({ sessionId, text }) => {
      calls.push(["send", sessionId, text]);
      return { answer: "3", episodeId: `e${calls.length}`, policyVersion: "v1" };
    },
    feedback: async (...args) => void calls.push(["feedback", ...args]),
    end: async (sessionId) => void calls.push(["end", sessionId]),
  };
  const [input, output] = [new PassThrough(), new PassThrough()];
  for (const line of lines) input.write(`${line}\n`);
  input.end();
  await terminalChat({ chat, input, output, signal: new AbortController().signal });
  return { calls, written: String(output.read()) };
};

it("sends what is typed, and closes the conversation at the end of input", async () => {
  const { calls } = await typed("What is 3^17 mod 41?", "", "thanks");
  expect(calls).toEqual([
    ["send", "terminal-1", "What is 3^17 mod 41?"],
    ["send", "terminal-1", "thanks"],
    ["end", "terminal-1"],
  ]);
});

it("hands judgements of the last answer on", async () => {
  const { calls } = await typed("2+2", "/bad", "/better just 4", "/new", "hi", "/good", "/quit", "never sent");
  expect(calls).toEqual([
    ["send", "terminal-1", "2+2"],
    ["feedback", "e1", { score: -1 }],
    ["feedback", "e1", { score: -1, correction: "just 4" }],
    ["end", "terminal-1"],
    ["send", "terminal-2", "hi"],
    ["feedback", "e5", { score: 1 }],
    ["end", "terminal-2"],
  ]);
});

it("says so when there is nothing to judge and when it does not know a command", async () => {
  const { calls, written } = await typed("/good", "/nonsense");
  expect(calls).toEqual([["end", "terminal-1"]]);
  expect(written).toContain("there is no answer to judge yet");
  expect(written).toContain("there is no /nonsense; /good and /bad judge the last answer");
});
