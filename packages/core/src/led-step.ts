import { AbortWatch } from "./abort-watch.js";
import type { CompletionRequest, CompletionResult } from "./completion.js";
import type { EpisodeEvents } from "./episode-events.js";
import { AgentError, messageOf } from "./errors.js";
import type { EventPayloads, EventType } from "./event.js";
import { contextChange } from "./led-context.js";
import type { LoopParts } from "./loop-parts.js";
import { samplingSettings } from "./model.js";
import { costOfFailure, endStep, takeStep } from "./model-step.js";
import { mixSeed } from "./random.js";
import { addCost, type LedEpisode, noCost, parseEpisodeId, type Session } from "./session.js";
import { spendingLimit } from "./spending-limit.js";
import { newSteering, sameSteering } from "./steering.js";
import type { StopReason } from "./step.js";

/** What a step that somebody else leads needs of the agent. */
export interface Surroundings {
  takeEpisodeNumber(): number;
  /** The events of one run, numbered on from those that the session knows of. */
  eventsOf(episodeId: string): EpisodeEvents;
  /** Logs an event of an episode outside of its runs. */
  append<T extends EventType>(session: Session, episodeId: string, type: T, payload: EventPayloads[T]): Promise<void>;
  /** The agent's. */
  readonly seed: number;
}

/**
 * Takes one step over a context that the caller gives. What the context holds beyond the session's last step is that step's
 * next state: tool results, and the episode goes on; what the user said, and a new one begins. A failure of the model leaves the episode open, so
 * that the same can be asked again.
 */
export async function takeLedStep(
  parts: LoopParts,
  session: Session,
  request: CompletionRequest,
  agent: Surroundings,
): Promise<CompletionResult> {
  const { pending } = session;
  const change = contextChange(session, request.messages);
  const isAnswered = pending === undefined || change.nextStates.some(({ kind }) => kind === "tool");
  const open = change.userSpoke || !isAnswered ? undefined : session.led;
  if (session.led !== undefined && open === undefined) await endLedEpisode(session, "its tool calls were left", agent);
  const episode = open ?? newEpisode(session, request, agent);
  const events = agent.eventsOf(episode.episodeId);
  const watch = new AbortWatch(request.abortSignal);
  try {
    if (open === undefined) {
      const { userId, seed } = episode;
      const prompt = request.messages.findLast(({ role }) => role === "user")?.content ?? "";
      events.emit("episode-start", { prompt, ...(userId !== undefined && { userId }), seed, led: true });
    }
    if (pending) for (const nextState of change.nextStates) events.emit("next-state", { of: pending, nextState });
    session.pending = undefined;
    const removed = Math.max(0, session.messages.length - request.messages.length);
    session.messages = [...request.messages];
    if (change.replaced) {
      session.observed = session.messages.length;
      events.emit("compaction", { messages: request.messages, removed });
    }
    return await act(parts, session, request, { episode, goesOn: open !== undefined, events, watch });
  } finally {
    watch.dispose();
    const { number } = parseEpisodeId(episode.episodeId)!;
    const lastStep = session.pending?.stepIndex ?? session.episodes.get(number)?.lastStep ?? -1;
    session.episodes.set(number, { lastStep, nextEvent: events.next });
  }
}

/** Ends the open episode of a session whose caller does not go on with it. */
export async function endLedEpisode(
  session: Session,
  reason: string,
  { append }: Pick<Surroundings, "append">,
): Promise<void> {
  const { led } = session;
  if (led === undefined) return;
  session.led = undefined;
  await append(session, led.episodeId, "abort", { reason });
  await append(session, led.episodeId, "episode-end", { stopReason: "aborted", answer: "", cost: led.cost });
}

function newEpisode(session: Session, { userId }: CompletionRequest, agent: Surroundings): LedEpisode {
  const episodeId = `${session.id}/${agent.takeEpisodeNumber()}`;
  const seed = mixSeed(agent.seed, episodeId);
  return { episodeId, ...(userId !== undefined && { userId }), seed, nextStep: 0, cost: noCost };
}

async function act(
  parts: LoopParts,
  session: Session,
  request: CompletionRequest,
  run: {
    readonly episode: LedEpisode;
    readonly goesOn: boolean;
    readonly events: EpisodeEvents;
    readonly watch: AbortWatch;
  },
): Promise<CompletionResult> {
  const { episode, goesOn, events, watch } = run;
  const { episodeId, nextStep: index } = episode;
  const result = { sessionId: session.id, episodeId };
  const end = async (stopReason: StopReason, answer: string, cost = episode.cost): Promise<CompletionResult> => {
    session.led = undefined;
    if (stopReason === "aborted")
      events.emit("abort", { reason: watch.aborted ? watch.reason : "the model stopped by itself" });
    await events.end(() => ({ stopReason, answer, cost }));
    return { ...result, stopReason, ...(events.failure && { error: events.failure }) };
  };
  if (watch.aborted) return end("aborted", "");
  const limit = spendingLimit(parts.budget, index, episode.cost);
  if (limit) return end(limit, "");

  const steering = goesOn
    ? sameSteering(parts, session, { ...episode, guidance: episode.guidance }, events)
    : newSteering(parts, session, episode, events);
  const taken = await takeStep({
    parts,
    session,
    events,
    watch,
    episodeId,
    index,
    steering,
    asked: {
      tools: request.tools ?? [],
      seed: request.seed ?? mixSeed(episode.seed, index),
      ...parts.sampling,
      ...samplingSettings(request),
      ...(request.policyVersion !== undefined && { policyVersion: request.policyVersion }),
    },
    led: true,
  });
  const { guidance } = steering;
  const goOn = { ...episode, ...(guidance !== undefined && { guidance }) };
  if ("cause" in taken) {
    const { cause } = taken;
    const error = AgentError.isInstance(cause) ? cause : new AgentError("agent/failed", messageOf(cause), { cause });
    if (!watch.aborted) events.emit("error", { code: error.code, message: error.message });
    const cost = costOfFailure(parts, taken.startedAt);
    endStep(events, cost);
    if (watch.aborted) return end("aborted", "", addCost(episode.cost, cost));
    session.led = { ...goOn, cost: addCost(episode.cost, cost) };
    await events.pause();
    return { ...result, error };
  }
  const { step, finishReason } = taken;
  endStep(events, step.cost);
  const cost = addCost(episode.cost, step.cost);
  const isAborted = watch.aborted || finishReason === "aborted";
  if (isAborted || step.action.kind !== "tool") {
    const ended = await end(isAborted ? "aborted" : "answered", step.action.message.content, cost);
    return { ...ended, step, finishReason };
  }
  session.led = { ...goOn, nextStep: index + 1, cost };
  await events.pause();
  return { ...result, step, finishReason, ...(events.failure && { error: events.failure }) };
}
