import {
  createAgent,
  type Message,
  memoryEventLog,
  mixSeed,
  type ToolDefinition,
  withGuidance,
} from "@afterstate/core";
import { manualClock, readLog, scriptedModel } from "@afterstate/core/testing";
import { expect, it } from "vitest";
import { EMPTY_CREDIT } from "../credit/step-credit.js";
import { fakePrompt } from "../testing/fake-policy.js";
import { assembleBatch } from "./assemble-batch.js";
import { foldEpisodes } from "./episode-fold.js";

const weather: ToolDefinition = { name: "weather", description: "", inputSchema: { type: "object" } };
const user = (content: string): Message => ({ role: "user", content });
const call = { id: "call-1", name: "weather", input: {} };
const called: Message = { role: "assistant", content: "", toolCalls: [call] };
const rain: Message = { role: "tool", toolCallId: "call-1", toolName: "weather", content: "rain" };

it("reads an episode that somebody else leads step by step, with the tools that its caller gave", async () => {
  const log = memoryEventLog();
  const tokens = (messages: readonly Message[]) => ({
    promptIds: fakePrompt(messages, [weather]),
    ids: [1, 2],
    logProbs: [-0.5, -0.1],
    mask: [1, 1],
    temperature: 1,
  });
  const first = [user("Weather?")];
  const second = [...first, called, rain];
  const model = scriptedModel([
    { toolCalls: [{ name: "weather" }], tokens: tokens(first) },
    { text: "Rain.", tokens: tokens(second) },
    "Yes.",
  ]);
  const agent = await createAgent({ model, log, clock: manualClock(), seed: 1 });
  const ask = (messages: readonly Message[]) => agent.complete({ messages, tools: [weather], sessionId: "s" }).result();
  await ask(first);
  await ask(second);
  await ask([...second, { role: "assistant", content: "Rain." }, user("Just the word, please.")]);

  const fold = foldEpisodes(() => false);
  for (const record of await readLog(log)) fold.take(record);
  const [episode] = fold.takeReady();
  expect(episode?.steps).toMatchObject([
    { kind: "tool", messages: first, tools: [weather], nextStates: [{ kind: "tool", results: [{ content: "rain" }] }] },
    {
      kind: "answer",
      messages: second,
      tools: [weather],
      nextStates: [{ kind: "user", text: "Just the word, please." }],
    },
  ]);

  const steps = episode!.steps.map((step) => ({
    ...step,
    reward: -1,
    evidence: true,
    shaping: 0,
    hints: ["Just the word."],
  }));
  const { samples } = await assembleBatch([{ ...episode!, steps }], EMPTY_CREDIT, {
    signals: "hints",
    credit: { credit: "step", gamma: 1, lambda: 0.95, decay: 0.9 },
    shuffledVotes: false,
    seed: mixSeed(1),
    staleness: () => 0,
    maxStaleness: 4,
    generation: 0,
    absorbsGuidance: true,
    encodePrompt: fakePrompt,
    tools: [],
  });
  expect(samples).toHaveLength(2);
  expect(samples[0]!.teacherPromptIds).toEqual(fakePrompt(withGuidance(first, "Just the word.")!, [weather]));
});
