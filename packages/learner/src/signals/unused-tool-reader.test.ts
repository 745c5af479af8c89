import type { Message, ToolDefinition } from "@afterstate/core";
import { describe, expect, it } from "vitest";
import type { JudgeRequest } from "../types.js";
import { labelledSteps } from "./labelled-steps.js";
import { unusedToolReader } from "./unused-tool-reader.js";

const calculator: ToolDefinition = { name: "pocket_calculator", description: "Computes.", inputSchema: {} };
const asked = (text: string, more: Partial<JudgeRequest> = {}): JudgeRequest => ({
  messages: [{ role: "user", content: "What is 48 / 2?" }],
  response: "22",
  nextState: { kind: "user", text },
  kind: "answer",
  tools: [calculator],
  ...more,
});
const read = (request: JudgeRequest) => unusedToolReader().read(request);

describe("the reader of what was not used", () => {
  it.each(["No, that's wrong.", "It should be 24.", "Hmm, I get 24.", "Are you sure? Check it again."])(
    "asks for the one tool after %j",
    async (reply) => expect(await read(asked(reply))).toBe("Use the pocket calculator."),
  );

  it.each(["Thanks!", "Just the number, please.", "And what is 5 * 5?", "Please call me by my name."])(
    "reads nothing into %j",
    async (reply) => expect(await read(asked(reply))).toBeUndefined(),
  );

  it("reads nothing where the tool was used, where there are several or none, or where nobody spoke", async () => {
    const used: Message[] = [
      { role: "user", content: "What is 48 / 2?" },
      { role: "assistant", content: "", toolCalls: [{ id: "1", name: "pocket_calculator", input: {} }] },
      { role: "tool", toolCallId: "1", toolName: "pocket_calculator", content: "22" },
    ];
    expect(await read(asked("Wrong.", { messages: used }))).toBeUndefined();
    expect(await read(asked("Wrong.", { tools: [calculator, { ...calculator, name: "search" }] }))).toBeUndefined();
    expect(await read(asked("Wrong.", { tools: [] }))).toBeUndefined();
    expect(await read(asked("", { nextState: { kind: "feedback", score: -1 } }))).toBeUndefined();
  });

  it("says of itself what is measured on the held-out replies without advice of their own", async () => {
    const replies = labelledSteps("held-out").filter(
      ({ request, hint }) => request.nextState.kind === "user" && hint === undefined,
    );
    const found = await Promise.all(replies.map(({ request }) => read({ ...request, tools: [calculator] })));
    const right = replies.filter(({ label }, index) => (label === -1) === (found[index] !== undefined)).length;
    expect(unusedToolReader().reliability).toBeCloseTo(right / replies.length, 3);
  });
});
