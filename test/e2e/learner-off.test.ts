import { type AgentEvent, createAgent, memoryEventLog, type Plugin } from "@afterstate/core";
import { manualClock } from "@afterstate/core/testing";
import {
  createTrainer,
  EMBEDDED_POLICY,
  onlineLearner,
  openPolicy,
  readPolicyFolder,
  ruleHintReader,
  ruleJudge,
} from "@afterstate/learner";
import { memoryBank } from "@afterstate/plugins-memory";
import { calculator } from "@afterstate/plugins-tools";
import { describe, expect, it } from "vitest";

const UPDATE = {
  learningRate: 3e-4,
  stepSize: "fixed" as const,
  epochs: 1,
  clipLow: 0.2,
  clipHigh: 0.2,
  klCoefficient: 0.02,
  distillationWeight: 1,
  distillationClip: 1,
  gradientClip: 1,
  lossDenominator: 50,
};
const MESSAGES = ["I'm Ann. What is 3^17 mod 41?", "No, that's wrong. Use the calculator.", "Thanks!"];

/** The events of one conversation with the embedded policy, as JSON. */
async function converse(
  learner: (
    log: ReturnType<typeof memoryEventLog>,
    files: ReturnType<typeof readPolicyFolder>,
  ) => Promise<Plugin | undefined>,
) {
  const files = readPolicyFolder(EMBEDDED_POLICY);
  const log = memoryEventLog();
  const policy = await openPolicy(files);
  const plugin = await learner(log, files);
  const clock = manualClock(0);
  const plugins = [calculator(), memoryBank({ clock }), ...(plugin === undefined ? [] : [plugin])];
  const agent = await createAgent({ model: policy.model(), plugins, log, seed: 5, clock });
  const events: AgentEvent[] = [];
  agent.events.onAny((event) => void events.push(event));
  for (const prompt of MESSAGES) await agent.stream({ prompt, sessionId: "s", userId: "ann" }).result();
  await agent.closeSession("s", "call");
  await agent.close();
  return events.map((event) => JSON.stringify(event)).join("\n");
}

const learnerOf =
  (mode: "off" | "live") =>
  async (log: ReturnType<typeof memoryEventLog>, files: ReturnType<typeof readPolicyFolder>) =>
    onlineLearner({
      policy: await openPolicy(files),
      trainer: await createTrainer(files.config),
      log,
      judge: ruleJudge(),
      hintReader: ruleHintReader(),
      mode,
      signals: "hybrid",
      batchEpisodes: 1,
      update: UPDATE,
      clock: manualClock(0),
    });

describe("a learner that is off", () => {
  it("leaves the event stream byte for byte as it is without one, text deltas included", async () => {
    const without = await converse(async () => undefined);
    expect(await converse(learnerOf("off"))).toBe(without);
    expect(without).toContain('"type":"text-delta"');
  });

  it("is not what a learner at work does: that one says what it read off the replies", async () => {
    const without = await converse(async () => undefined);
    const live = await converse(learnerOf("live"));
    expect(live).not.toBe(without);
    expect(live).toContain('"type":"signal"');
  });
});
