import type { AgentEvent } from "../event.js";

/** All events of a run, once it has ended. */
export async function collectEvents(run: AsyncIterable<AgentEvent>): Promise<AgentEvent[]> {
  const events: AgentEvent[] = [];
  for await (const event of run) events.push(event);
  return events;
}
