import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { compacted, contextTokens } from "./compaction.js";
import { createAgent, type Message } from "./index.js";
import { collectEvents, scriptedModel } from "./testing/index.js";

const system = (content: string, pinned?: true): Message => ({ role: "system", content, ...(pinned && { pinned }) });
const user = (content: string): Message => ({ role: "user", content });
const said = (content: string): Message => ({ role: "assistant", content });
const called = (id: string): Message => ({ role: "assistant", content: "", toolCalls: [{ id, name: "t", input: {} }] });
const result = (toolCallId: string, content: string): Message => ({ role: "tool", toolCallId, toolName: "t", content });
const long = (letter: string) => letter.repeat(400);

describe("compacted", () => {
  it("counts four characters as a token, tool calls included", () => {
    // 9 characters and [{"id":"1","name":"t","input":{}}] with 34: 43 / 4, rounded up
    expect(contextTokens([user("123456789"), called("1")])).toBe(11);
  });

  it("leaves a context alone that fits", () => {
    const messages = [system("i", true), user(long("a")), said(long("b")), user("c")];
    expect(compacted(messages, 1000)).toBe(messages);
  });

  it("drops the oldest exchanges with what was recalled for them, and keeps what is pinned", () => {
    const kept = [
      system("instructions", true),
      system("note", true),
      system("recalled 3"),
      user("third"),
      system("plan"),
    ];
    const messages = [
      kept[0]!,
      system("recalled 1"),
      user("first"),
      said(long("a")),
      kept[1]!,
      system("recalled 2"),
      user("second"),
      called("1"),
      result("1", long("b")),
      said("ok"),
      ...kept.slice(2),
    ];
    expect(compacted(messages, 60)).toEqual(kept);
    expect(compacted(messages, 190)).toEqual([
      kept[0],
      kept[1],
      system("recalled 2"),
      user("second"),
      ...messages.slice(7),
    ]);
  });

  it("drops earlier steps of the current exchange with their results, never the newest", () => {
    const messages = [
      user("go"),
      called("1"),
      result("1", long("a")),
      called("2"),
      result("2", long("b")),
      called("3"),
      result("3", long("c")),
    ];
    expect(compacted(messages, 250)).toEqual([user("go"), ...messages.slice(5)]);
    expect(compacted(messages, 1)).toEqual([user("go"), ...messages.slice(5)]);
  });

  it("never parts a call from its result, nor loses what must stay, whatever the context", () => {
    const step = fc
      .tuple(fc.integer({ min: 0, max: 99999 }), fc.string())
      .map(([id, text]) => [called(`${id}`), result(`${id}`, text)]);
    const exchange = fc
      .tuple(fc.option(fc.string()), fc.string(), fc.array(step, { maxLength: 4 }), fc.option(fc.string()))
      .map(([recalled, prompt, steps, answer]) => [
        ...(recalled === null ? [] : [system(recalled)]),
        user(prompt),
        ...steps.flat(),
        ...(answer === null ? [] : [said(answer)]),
      ]);
    fc.assert(
      fc.property(
        fc.array(exchange, { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 1, max: 100 }),
        (parts, limit) => {
          const messages = [system("instructions", true), ...parts.flat()];
          const kept = compacted(messages, limit);
          expect(kept[0]).toBe(messages[0]);
          expect(kept.filter(({ role }) => role === "user").at(-1)).toBe(
            messages.filter(({ role }) => role === "user").at(-1),
          );
          expect(kept.at(-1)).toBe(messages.at(-1));
          expect(kept).toEqual(messages.filter((message) => kept.includes(message)));
          kept.forEach((message, index) => {
            if (message.role === "tool")
              expect(kept[index - 1]).toMatchObject({ toolCalls: [{ id: message.toolCallId }] });
            if (message.role === "assistant" && message.toolCalls) expect(kept[index + 1]?.role).toBe("tool");
          });
        },
      ),
      { seed: 3 },
    );
  });
});

describe("a run whose context grows too long", () => {
  it("is compacted between steps, and the next observation shows what came since", async () => {
    const read = {
      description: "",
      input: z.object({ page: z.number() }),
      execute: ({ page }: { page: number }) => `${page}`.repeat(400),
    };
    const call = (page: number) => ({ toolCalls: [{ name: "read", input: { page } }] });
    const model = scriptedModel([call(1), call(2), call(3), "Read."]);
    const agent = await createAgent({
      model,
      instructions: "Read on.",
      plugins: [{ name: "book", tools: { read } }],
      maxContextTokens: 250,
    });
    const events = await collectEvents(agent.stream({ prompt: "Read it", sessionId: "s" }));
    const at = events.findIndex(({ type }) => type === "compaction");
    expect(events.slice(at - 1, at + 3).map(({ type }) => type)).toEqual([
      "step-end",
      "compaction",
      "step-start",
      "observation",
    ]);
    const last = model.requests.at(-1)!.messages;
    expect(last.map(({ role }) => role)).toEqual(["system", "user", "assistant", "tool"]);
    expect(last.at(-1)!.content).toBe("3".repeat(400));
    expect(events[at]).toMatchObject({ stepIndex: -1, removed: 4, messages: last });
    expect(events[at + 2]).toMatchObject({ added: [] });
    expect(events.filter(({ type }) => type === "compaction")).toHaveLength(1);
  });
});
