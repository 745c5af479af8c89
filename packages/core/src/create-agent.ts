import { randomUUID } from "node:crypto";
import type { Agent, AgentOptions, Approval, Feedback, Run, RunResult } from "./agent.js";
import { type EpisodeRun, runEpisode } from "./agent-loop.js";
import { Channel } from "./channel.js";
import { systemClock } from "./clock.js";
import type { CompletionRequest, CompletionResult } from "./completion.js";
import { EpisodeEvents, isLogged, logFailure } from "./episode-events.js";
import { AgentError } from "./errors.js";
import type { AgentEvent, EventPayloads, EventType } from "./event.js";
import { createEventBus, type EventBus } from "./event-bus.js";
import type { EventLog } from "./event-log.js";
import { closeIdleSessions } from "./idle-sessions.js";
import { endLedEpisode, takeLedStep } from "./led-step.js";
import { type LoopParts, loopParts } from "./loop-parts.js";
import { samplingSettings } from "./model.js";
import { startPlugins } from "./plugin-host.js";
import { mixSeed, systemSeed } from "./random.js";
import { MODEL } from "./service.js";
import { newSession, parseEpisodeId, type Session } from "./session.js";
import { openSessionStore } from "./session-store.js";

/**
 * Starts an agent: its plugins are set up, its tools checked, its sessions found in the log.
 *
 * @throws AgentError when an option, a plugin or a tool is at fault; what was opened until then has been disposed.
 */
export async function createAgent(options: AgentOptions): Promise<Agent> {
  checkOptions(options);
  const { model, log, clock = systemClock, seed = systemSeed() } = options;
  const events = createEventBus();

  /** Puts an event into the log, then on the bus. */
  const publish = async (event: AgentEvent): Promise<void> => {
    try {
      if (log && isLogged(event.type)) await log.append(event);
    } catch (cause) {
      throw logFailure(cause);
    } finally {
      events.emit(event);
    }
  };
  const reportOf = (error: AgentError, number: number): AgentEvent => ({
    id: `agent#${number}`,
    time: clock.now(),
    sessionId: "",
    episodeId: "",
    stepIndex: -1,
    policyVersion: model.policyVersion(),
    type: "error",
    code: error.code,
    message: error.message,
  });

  const store = await openSessionStore(log);
  const host = await startPlugins(options.plugins ?? [], { services: [[MODEL, model]], events, emit: publish });
  let reports = 0;
  let parts: LoopParts;
  try {
    parts = loopParts(options, host);
    for (const failure of host.failures) await publish(reportOf(failure, reports++));
  } catch (cause) {
    await host.dispose();
    throw cause;
  }
  let closing: Promise<void> | undefined;

  const startRun = (
    sessionId: string,
    episodeId: string,
    episodeRun: (session: Session) => EpisodeRun,
    onRefused: (error: AgentError, stream: Channel<AgentEvent>) => RunResult,
  ): Run => {
    if (closing) throw new AgentError("agent/closed", CLOSED);
    const stream = new Channel<AgentEvent>();
    const work = store.enter(sessionId, (session) => {
      const run = episodeRun(session);
      const next = session.episodes.get(parseEpisodeId(episodeId)?.number ?? -1)?.nextEvent ?? 0;
      const policyVersion = model.policyVersion();
      const episode = new EpisodeEvents({ sessionId, episodeId, policyVersion, next, stream, clock, bus: events, log });
      return runEpisode(parts, session, run, episode);
    });
    const result = work.catch((cause) => onRefused(logFailure(cause), stream));
    return {
      episodeId,
      sessionId,
      result: () => result,
      async feedback(feedback) {
        await result;
        await agent.feedback(episodeId, feedback);
      },
      [Symbol.asyncIterator]: () => stream[Symbol.asyncIterator](),
    };
  };

  /** Logs an event that belongs to an episode which is over. */
  const append = <T extends EventType>(session: Session, episodeId: string, type: T, payload: EventPayloads[T]) => {
    const mark = session.episodes.get(parseEpisodeId(episodeId)?.number ?? -1);
    const envelope = {
      id: `${episodeId}#${mark ? mark.nextEvent++ : 0}`,
      time: clock.now(),
      sessionId: session.id,
      episodeId,
      stepIndex: -1,
      policyVersion: model.policyVersion(),
    };
    return publish({ ...envelope, type, ...payload } as unknown as AgentEvent);
  };

  const agent: Agent = {
    events,

    stream({ prompt, userId, abortSignal, ...request }) {
      const sessionId = request.sessionId ?? randomUUID();
      const episodeId = `${sessionId}/${store.takeEpisodeNumber(sessionId)}`;
      const run: EpisodeRun = {
        episodeId,
        prompt,
        seed: request.seed ?? mixSeed(seed, episodeId),
        ...(userId !== undefined && { userId }),
        ...(abortSignal && { abortSignal }),
      };
      return startRun(
        sessionId,
        episodeId,
        () => run,
        (error, stream) => {
          // The session cannot be read, so its log must not grow: the run is told to its iterators and the bus alone.
          const policyVersion = model.policyVersion();
          const options = { sessionId, episodeId, policyVersion, next: 0, stream, clock, bus: events, log: undefined };
          const episode = new EpisodeEvents(options);
          episode.emit("episode-start", { prompt, ...(userId !== undefined && { userId }), seed: run.seed });
          episode.emit("error", { code: error.code, message: error.message });
          const cost = { inputTokens: 0, outputTokens: 0, dollars: 0, durationMs: 0 };
          void episode.end(() => ({ stopReason: "failed", answer: "", cost }));
          return failedResult(episodeId, sessionId, error);
        },
      );
    },

    complete(request) {
      const refusal = closing ? new AgentError("agent/closed", CLOSED) : invalidContext(request);
      if (refusal) throw refusal;
      const { sessionId } = request;
      const stream = new Channel<AgentEvent>();
      const policyVersion = model.policyVersion();
      const eventsFor = (session: Session, bus: EventBus, kept: EventLog | undefined) => (episodeId: string) => {
        const next = session.episodes.get(parseEpisodeId(episodeId)?.number ?? -1)?.nextEvent ?? 0;
        return new EpisodeEvents({ sessionId, episodeId, policyVersion, next, stream, clock, bus, log: kept });
      };
      const aside = () => {
        const session = newSession(sessionId);
        const eventsOf = eventsFor(session, createEventBus(), undefined);
        return takeLedStep(parts, session, request, {
          takeEpisodeNumber: () => 0,
          eventsOf,
          append: async () => {},
          seed,
        });
      };
      const inSession = (session: Session) =>
        takeLedStep(parts, session, request, {
          takeEpisodeNumber: () => store.takeEpisodeNumber(sessionId),
          eventsOf: eventsFor(session, events, log),
          append,
          seed,
        });
      const work = request.train === false ? aside() : store.enter(sessionId, inSession);
      const result = work.catch((cause): CompletionResult => {
        const error = logFailure(cause);
        stream.fail(error);
        return { sessionId, episodeId: "", error };
      });
      return { result: () => result, [Symbol.asyncIterator]: () => stream[Symbol.asyncIterator]() };
    },

    resume(episodeId, approval) {
      const sessionId = parseEpisodeId(episodeId)?.sessionId ?? "";
      return startRun(
        sessionId,
        episodeId,
        (session) => resumedRun(session, episodeId, approval),
        (error, stream) => {
          stream.fail(error);
          return failedResult(episodeId, sessionId, error);
        },
      );
    },

    async feedback(episodeId, feedback) {
      checkFeedback(feedback);
      const sessionId = parseEpisodeId(episodeId)?.sessionId ?? "";
      await store.enter(sessionId, async (session) => {
        const mark = session.episodes.get(parseEpisodeId(episodeId)?.number ?? -1);
        if (!mark) {
          const where = log ? "neither this agent nor its log knows" : "this agent does not know, and it has no log";
          throw new AgentError("agent/unknown-episode", `feedback was given to episode "${episodeId}", which ${where}`);
        }
        if (mark.lastStep < 0) {
          throw new AgentError(
            "agent/no-step",
            `episode "${episodeId}" ended before its first step; there is nothing to judge`,
          );
        }
        const { score, correction } = feedback;
        await append(session, episodeId, "feedback", {
          of: { episodeId, stepIndex: mark.lastStep },
          ...(score !== undefined && { score }),
          ...(correction !== undefined && { correction }),
        });
      });
    },

    async closeSession(sessionId, by) {
      await store.enter(sessionId, async (session) => {
        const of = session.pending;
        if (session.waiting) return;
        session.pending = undefined;
        if (of) {
          session.closed = true;
          session.tools = undefined;
          await append(session, of.episodeId, "next-state", { of, nextState: { kind: "closed", by } });
        }
        await endLedEpisode(session, "the session was closed", { append });
      });
    },

    close() {
      idle?.stop();
      closing ??= (async () => {
        await store.drain();
        for (const failure of await host.dispose()) await publish(reportOf(failure, reports++)).catch(() => {});
      })();
      return closing;
    },
  };
  const { sessionIdleMs: idleMs } = options;
  const idle = idleMs === undefined ? undefined : closeIdleSessions(agent, { idleMs, clock, log });
  return agent;
}

function resumedRun(session: Session, episodeId: string, approval: Approval): EpisodeRun {
  const from = session.waiting;
  if (from?.episodeId !== episodeId) {
    throw new AgentError(
      "agent/not-waiting",
      `episode "${episodeId}" does not wait for approval; it cannot be resumed`,
    );
  }
  const { prompt, userId, seed } = from;
  const { abortSignal } = approval;
  return {
    episodeId,
    prompt,
    seed,
    ...(userId !== undefined && { userId }),
    ...(abortSignal && { abortSignal }),
    resumed: { from, approval },
  };
}

function failedResult(episodeId: string, sessionId: string, { code, message }: AgentError): RunResult {
  return { id: episodeId, sessionId, steps: [], stopReason: "failed", answer: "", error: { code, message } };
}

const CLOSED = "the agent is closed; create another to go on";

function invalidContext({ messages, sessionId }: CompletionRequest): AgentError | undefined {
  const wrong = (what: string) => new AgentError("agent/invalid-context", what);
  if (sessionId === "") return wrong("a step that is asked for needs a session id; give the conversation one");
  if (messages.length === 0) return wrong("a step that is asked for needs a context; give at least one message");
  if (messages.at(-1)?.role === "assistant")
    return wrong("the last message of the context is the policy's own; end with what it is to answer");
  return undefined;
}

function checkOptions(options: AgentOptions): void {
  const { model, budget = {}, maxTokens, maxContextTokens, sessionIdleMs } = options;
  if (typeof model?.generate !== "function") {
    throw new AgentError("agent/invalid-option", "createAgent needs a model, for example openaiModel({ model: … })");
  }
  for (const [name, value] of Object.entries({ ...budget, maxTokens, maxContextTokens, sessionIdleMs })) {
    if (value !== undefined && !(value > 0)) {
      throw new AgentError("agent/invalid-option", `${name} must be more than 0, not ${value}`);
    }
  }
  samplingSettings(options);
}

function checkFeedback({ score, correction }: Feedback): void {
  if (score === undefined && correction === undefined) {
    throw new AgentError("agent/invalid-feedback", "feedback needs a score, a correction, or both");
  }
  if (score !== undefined && !(score >= -1 && score <= 1)) {
    throw new AgentError("agent/invalid-feedback", `a feedback score must be between -1 and 1, not ${score}`);
  }
}
