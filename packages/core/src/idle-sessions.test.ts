import { afterEach, describe, expect, it, vi } from "vitest";
import type { Agent } from "./agent.js";
import { createAgent } from "./create-agent.js";
import type { EventLog } from "./event-log.js";
import { closeIdleSessions } from "./idle-sessions.js";
import { memoryEventLog } from "./memory-event-log.js";
import { manualClock } from "./testing/manual-clock.js";
import { scriptedModel } from "./testing/scripted-model.js";

afterEach(() => void vi.useRealTimers());

async function closedSessions(log: EventLog): Promise<string[]> {
  const closed: string[] = [];
  for await (const { event } of log.read(0))
    if (event.type === "next-state" && event.nextState.kind === "closed")
      closed.push(`${event.sessionId} by ${event.nextState.by}`);
  return closed;
}
const say = (agent: Agent, sessionId: string) => agent.stream({ prompt: "Hi", sessionId }).result();
const answers = (count: number) => scriptedModel(Array.from({ length: count }, () => ({ text: "Hello." })));

describe("sessions that wait", () => {
  it("close once nothing has happened in them for the time, each by its own last run or feedback", async () => {
    const [log, clock] = [memoryEventLog(), manualClock()];
    const agent = await createAgent({ model: answers(3), log, clock, seed: 1 });
    const idle = closeIdleSessions(agent, { idleMs: 1_000, clock, log });
    await say(agent, "a");
    await say(agent, "b");
    clock.advance(600);
    await say(agent, "c");
    await agent.feedback("b/0", { score: 1 });
    clock.advance(399);
    await idle.sweep();
    expect(await closedSessions(log)).toEqual([]);
    clock.advance(1);
    await idle.sweep();
    expect(await closedSessions(log)).toEqual(["a by idle"]);
    clock.advance(600);
    await idle.sweep();
    await idle.sweep();
    expect(await closedSessions(log)).toEqual(["a by idle", "c by idle", "b by idle"]);
    idle.stop();
    await agent.close();
  });

  it("stay open while a run goes on, and open again with the next one", async () => {
    const [log, clock] = [memoryEventLog(), manualClock()];
    const agent = await createAgent({ model: answers(2), log, clock, seed: 1 });
    const idle = closeIdleSessions(agent, { idleMs: 1_000, clock, log: undefined });
    await say(agent, "a");
    const run = agent.stream({ prompt: "And?", sessionId: "a" });
    for await (const { type } of run) {
      clock.advance(5_000);
      if (type === "step-start") await idle.sweep();
    }
    expect(await closedSessions(log)).toEqual([]);
    clock.advance(1_000);
    await idle.sweep();
    expect(await closedSessions(log)).toEqual(["a by idle"]);
    idle.stop();
    await agent.close();
  });

  it("are found in the log by the next process", async () => {
    const [log, clock] = [memoryEventLog(), manualClock()];
    const first = await createAgent({ model: answers(2), log, clock, seed: 1 });
    await say(first, "left");
    await say(first, "done");
    await first.closeSession("done", "call");
    await first.close();
    clock.advance(5_000);
    const second = await createAgent({ model: answers(0), log, clock, seed: 1 });
    const idle = closeIdleSessions(second, { idleMs: 1_000, clock, log });
    await idle.sweep();
    expect(await closedSessions(log)).toEqual(["done by call", "left by idle"]);
    idle.stop();
    await second.close();
  });

  it("are closed by a timer of the agent's own, which its close leaves nothing of", async () => {
    vi.useFakeTimers({ now: 0 });
    const log = memoryEventLog();
    const agent = await createAgent({ model: answers(2), log, sessionIdleMs: 1_000, seed: 1 });
    await say(agent, "a");
    await vi.advanceTimersByTimeAsync(1_001);
    expect(await closedSessions(log)).toEqual(["a by idle"]);
    await say(agent, "b");
    expect(vi.getTimerCount()).toBe(1);
    await agent.close();
    expect(vi.getTimerCount()).toBe(0);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await closedSessions(log)).toEqual(["a by idle"]);
  });

  it("refuse a time of nothing", async () => {
    await expect(createAgent({ model: answers(0), sessionIdleMs: 0 })).rejects.toThrow(
      /sessionIdleMs must be more than 0/,
    );
  });
});
