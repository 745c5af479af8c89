import type { AgentEvent, EventOf, EventPayloads } from "./event.js";
import type { Message, ToolCall } from "./message.js";
import type { ToolDefinition } from "./model.js";
import type { Action, NextState, Observation, Step, StepCost, StepRef, TokenRecord, ToolResult } from "./step.js";

/** A conversation as the loop keeps it: everything that the next run needs, and nothing that the log does not hold. */
export interface Session {
  readonly id: string;
  /** The context. It only grows, so that prompt caches hold, until a compaction replaces it. */
  messages: Message[];
  /** How many of `messages` an observation event has shown. */
  observed: number;
  /** The last step, as long as nothing has come after it. */
  pending: StepRef | undefined;
  /** The run that waits for a person. */
  waiting: WaitingEpisode | undefined;
  /** The episode that goes on when somebody else, who leads, asks for its next step. */
  led: LedEpisode | undefined;
  /** What whoever leads let the policy call last; undefined where nobody does. */
  tools: readonly ToolDefinition[] | undefined;
  /** Whether it was closed since its last observation: readers of the log have forgotten its context. */
  closed: boolean;
  /** The last choice of each decision, by name. */
  readonly choices: Map<string, EventPayloads["decision"]>;
  /** What later events need to know of an episode, by its number in the session. */
  readonly episodes: Map<number, { lastStep: number; nextEvent: number }>;
}

/** An episode that stopped within a step, before its tool calls. */
export interface WaitingEpisode {
  readonly episodeId: string;
  readonly prompt: string;
  readonly userId?: string;
  readonly seed: number;
  /** The steps that are over. */
  readonly steps: readonly Step[];
  /** The step that goes on. */
  readonly step: OpenStep;
  /** What a person was asked about. */
  readonly asked: readonly ToolCall[];
  /** Of the whole episode so far. */
  readonly cost: StepCost;
}

/** An episode between two of its steps. */
export interface LedEpisode {
  readonly episodeId: string;
  readonly userId?: string;
  readonly seed: number;
  readonly nextStep: number;
  readonly guidance?: string;
  /** Of the steps so far. */
  readonly cost: StepCost;
}

/** A step that has acted and is not over. */
export interface OpenStep {
  readonly index: number;
  readonly observation: Observation;
  readonly action: Action;
  readonly policyVersion: string;
  readonly tokens?: TokenRecord;
  readonly cost: StepCost;
}

/** Nothing used. */
export const noCost: StepCost = { inputTokens: 0, outputTokens: 0, dollars: 0, durationMs: 0 };

/** The sum of two costs. */
export function addCost(a: StepCost, b: StepCost): StepCost {
  return {
    inputTokens: a.inputTokens + b.inputTokens,
    outputTokens: a.outputTokens + b.outputTokens,
    dollars: a.dollars + b.dollars,
    durationMs: a.durationMs + b.durationMs,
  };
}

/** A session in which nothing has happened. */
export function newSession(id: string): Session {
  return {
    id,
    messages: [],
    observed: 0,
    pending: undefined,
    waiting: undefined,
    led: undefined,
    tools: undefined,
    closed: false,
    choices: new Map(),
    episodes: new Map(),
  };
}

/** The number of an episode in its session, and the session. An episode's id is the session's id, "/", and that number. */
export function parseEpisodeId(episodeId: string): { readonly sessionId: string; readonly number: number } | undefined {
  const slash = episodeId.lastIndexOf("/");
  const number = Number(episodeId.slice(slash + 1));
  return slash < 0 || !Number.isInteger(number) ? undefined : { sessionId: episodeId.slice(0, slash), number };
}

/** The tool messages that show results to the policy, in the same order. */
export function toolMessages(results: readonly ToolResult[]): Message[] {
  return results.map(({ callId: toolCallId, toolName, content, isError }) =>
    isError
      ? { role: "tool", toolCallId, toolName, content, isError }
      : { role: "tool", toolCallId, toolName, content },
  );
}

type Unfinished = {
  readonly start: EventOf<"episode-start">;
  readonly steps: Step[];
  readonly asked: ToolCall[];
  guidance?: string;
  step?: OpenStep;
  nextState?: NextState;
  /** Of the steps that are over, also of those that did not act. */
  cost: StepCost;
  ended: boolean;
};

/** Reads a session off its events, given in the order of the log. */
export async function rebuildSession(id: string, events: AsyncIterable<AgentEvent>): Promise<Session> {
  const session = newSession(id);
  let episode: Unfinished | undefined;
  for await (const event of events) {
    countEvent(session, event);
    if (event.type === "episode-start") {
      episode = { start: event, steps: [], asked: [], cost: noCost, ended: false };
    }
    applyToContext(session, event);
    if (episode?.start.episodeId === event.episodeId) applyToEpisode(session, episode, event);
  }
  if (episode?.start.led && !episode.ended) session.led = ledEpisode(episode);
  const last = session.messages.at(-1);
  if (!session.waiting && !episode?.start.led && last?.role === "assistant" && last.toolCalls?.length)
    session.messages.pop();
  session.observed = Math.min(session.observed, session.messages.length);
  return session;
}

/** Keeps the number of the next event, whose id is the episode's id, "#", and that number. */
function countEvent(session: Session, { id, episodeId }: AgentEvent): void {
  const number = parseEpisodeId(episodeId)?.number;
  const event = Number(id.slice(episodeId.length + 1));
  if (number === undefined || !Number.isInteger(event)) return;
  const mark = session.episodes.get(number);
  if (mark) mark.nextEvent = Math.max(mark.nextEvent, event + 1);
  else session.episodes.set(number, { lastStep: -1, nextEvent: event + 1 });
}

function applyToContext(session: Session, event: AgentEvent): void {
  switch (event.type) {
    case "decision": {
      const { name, choice, alternatives, propensity, features } = event;
      session.choices.set(name, { name, choice, alternatives, propensity, features });
      return;
    }
    case "observation":
      session.messages.length = session.observed;
      session.messages.push(...event.added);
      session.observed = session.messages.length;
      session.closed = false;
      if (event.tools !== undefined) session.tools = event.tools;
      if (session.waiting && session.waiting.episodeId !== event.episodeId) session.waiting = undefined;
      return;
    case "compaction":
      session.messages = [...event.messages];
      session.observed = session.messages.length;
      return;
    case "action": {
      const { message } = event.action;
      if (message.content !== "" || message.toolCalls) session.messages.push(message);
      session.pending = { episodeId: event.episodeId, stepIndex: event.stepIndex };
      const mark = session.episodes.get(parseEpisodeId(event.episodeId)?.number ?? -1);
      if (mark) mark.lastStep = event.stepIndex;
      return;
    }
    case "next-state": {
      if (event.nextState.kind === "tool") session.messages.push(...toolMessages(event.nextState.results));
      const { pending } = session;
      if (pending?.episodeId === event.of.episodeId && pending.stepIndex === event.of.stepIndex) {
        session.pending = undefined;
      }
      if (event.nextState.kind === "closed") {
        session.closed = true;
        session.tools = undefined;
      }
      return;
    }
  }
}

function applyToEpisode(session: Session, episode: Unfinished, event: AgentEvent): void {
  switch (event.type) {
    case "action": {
      const { action, stepIndex, policyVersion, tokens } = event;
      const messages = session.messages.slice(0, session.observed);
      const observation = { messages, ...(episode.guidance !== undefined && { guidance: episode.guidance }) };
      episode.step = { index: stepIndex, observation, action, policyVersion, cost: noCost };
      if (tokens) episode.step = { ...episode.step, tokens };
      return;
    }
    case "observation":
      if (event.guidance !== undefined) episode.guidance = event.guidance;
      return;
    case "approval-request":
      episode.asked.push(event.call);
      return;
    case "tool-call":
      session.waiting = undefined;
      return;
    case "next-state":
      if (event.nextState.kind === "tool") episode.nextState = event.nextState;
      return;
    case "step-end":
      episode.cost = addCost(episode.cost, event.cost);
      if (!episode.step) return;
      episode.steps.push({
        ...episode.step,
        ...(episode.nextState && { nextState: episode.nextState }),
        signals: [],
        cost: event.cost,
      });
      delete episode.step;
      delete episode.nextState;
      episode.asked.length = 0;
      session.waiting = undefined;
      return;
    case "episode-end":
      episode.ended = true;
      session.waiting = event.stopReason === "awaiting-approval" ? waitingEpisode(episode, event.cost) : undefined;
      return;
  }
}

function ledEpisode({ start, steps, guidance, cost }: Unfinished): LedEpisode {
  const { episodeId, userId, seed } = start;
  return {
    episodeId,
    ...(userId !== undefined && { userId }),
    seed,
    nextStep: (steps.at(-1)?.index ?? -1) + 1,
    ...(guidance !== undefined && { guidance }),
    cost,
  };
}

function waitingEpisode({ start, steps, step, asked }: Unfinished, cost: StepCost): WaitingEpisode | undefined {
  if (!step) return undefined;
  const before = steps.reduce((sum, { cost: one }) => addCost(sum, one), noCost);
  const own = {
    inputTokens: cost.inputTokens - before.inputTokens,
    outputTokens: cost.outputTokens - before.outputTokens,
    dollars: cost.dollars - before.dollars,
    durationMs: cost.durationMs - before.durationMs,
  };
  const { episodeId, prompt, userId, seed } = start;
  return {
    episodeId,
    prompt,
    ...(userId !== undefined && { userId }),
    seed,
    steps: [...steps],
    step: { ...step, cost: own },
    asked: [...asked],
    cost,
  };
}
