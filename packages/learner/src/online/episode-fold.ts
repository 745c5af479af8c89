import type {
  EventOf,
  LogRecord,
  Message,
  NextState,
  Signal,
  StepCost,
  StepRef,
  ToolDefinition,
} from "@afterstate/core";
import type { LearnedEpisode, LearnedStep } from "../types.js";

/** A step as the log has it, with the ids of the signal events that are already in the log. */
export interface FoldedStep extends LearnedStep {
  readonly signalIds: ReadonlyMap<string, Signal>;
}

/** An episode whose last step has got its next state, or will get none. */
export interface FoldedEpisode extends LearnedEpisode {
  readonly steps: readonly FoldedStep[];
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** The log offset of its last signal, if it has any. */
  readonly judgedAt?: number;
  /** Why it is consumed without being judged or learned from. */
  readonly skipped?: "unanswered" | "unlearned";
}

/**
 * Reads episodes off the records of a log, one record after the other. An episode without next state, or without end, is given up when
 * a later one of its session ends: nothing can come after its last step any more but a late feedback. It is ready then, to be skipped.
 */
export interface EpisodeFold {
  take(record: LogRecord): void;
  /**
   * The episodes that became ready since the last call, in the order in which they did. One comes again when another next
   * state is added to it (a feedback after the user's reply), until it is released.
   */
  takeReady(): readonly FoldedEpisode[];
  /** Gives up the episodes from before a log offset that have no end and do not wait for an approval: their process is gone. */
  giveUpUnended(before: number): void;
  /** Every episode that is not released, ready or not. */
  all(): readonly FoldedEpisode[];
  /** Start offsets of the episodes that are not ready. */
  unready(): readonly number[];
  /** Forgets an episode: what comes for it from now on comes too late. */
  release(episodeId: string): void;
}

/** The context of a session: it grows in place, and a compaction puts another array in its place. */
interface SessionContext {
  messages: Message[];
  /** Of the last observation. */
  guidance: string | undefined;
  /** Of whoever leads; undefined where the agent's own are meant. */
  tools: readonly ToolDefinition[] | undefined;
}

interface OpenStep {
  readonly guidance: string | undefined;
  readonly tools: readonly ToolDefinition[] | undefined;
  readonly action: EventOf<"action">;
  /** What the policy saw: the first `seen` messages of `context`. */
  readonly context: readonly Message[];
  readonly seen: number;
  readonly nextStates: NextState[];
  readonly signalIds: Map<string, Signal>;
  cost?: StepCost;
}

interface OpenEpisode {
  readonly start: EventOf<"episode-start">;
  readonly offset: number;
  readonly steps: Map<number, OpenStep>;
  judgedAt?: number;
  ended: boolean;
  waiting: boolean;
  ready: boolean;
}

/**
 * A fold over the event log. Contexts are rebuilt from every observation and compaction, so the records have to be given
 * from the first one on; the steps of episodes that `isConsumed` are not kept.
 */
export function foldEpisodes(isConsumed: (episodeId: string, offset: number) => boolean): EpisodeFold {
  const contexts = new Map<string, SessionContext>();
  const episodes = new Map<string, OpenEpisode>();
  const fresh = new Set<OpenEpisode>();

  const contextOf = (sessionId: string): SessionContext => {
    const known = contexts.get(sessionId);
    if (known !== undefined) return known;
    const context = { messages: [], guidance: undefined, tools: undefined };
    contexts.set(sessionId, context);
    return context;
  };
  const stepOf = ({ episodeId, stepIndex }: StepRef) => episodes.get(episodeId)?.steps.get(stepIndex);

  const addNextState = (of: StepRef, nextState: NextState) => {
    const step = stepOf(of);
    if (step === undefined || step.nextStates.some((known) => sameFeedback(known, nextState))) return;
    step.nextStates.push(nextState);
    settle(of.episodeId);
  };

  const settle = (episodeId: string) => {
    const episode = episodes.get(episodeId);
    if (episode === undefined || (isUnanswered(episode) && !episode.ready)) return;
    giveOut(episode);
  };
  const giveOut = (episode: OpenEpisode) => {
    episode.ready = true;
    fresh.add(episode);
  };

  return {
    take({ offset, event }) {
      switch (event.type) {
        case "episode-start":
          if (!isConsumed(event.episodeId, offset) && !episodes.has(event.episodeId))
            episodes.set(event.episodeId, {
              start: event,
              offset,
              steps: new Map(),
              ended: false,
              waiting: false,
              ready: false,
            });
          return;
        case "observation": {
          const context = contextOf(event.sessionId);
          context.messages.push(...event.added);
          context.guidance = event.guidance;
          if (event.tools !== undefined) context.tools = event.tools;
          return;
        }
        case "compaction":
          contextOf(event.sessionId).messages = [...event.messages];
          return;
        case "action": {
          const { messages, guidance, tools } = contextOf(event.sessionId);
          const step = { action: event, context: messages, seen: messages.length, guidance, tools };
          const open: OpenStep = { ...step, nextStates: [], signalIds: new Map() };
          episodes.get(event.episodeId)?.steps.set(event.stepIndex, open);
          return;
        }
        case "next-state":
          addNextState(event.of, event.nextState);
          if (event.nextState.kind === "closed") contexts.delete(event.sessionId);
          return;
        case "feedback": {
          const { of, score, correction } = event;
          addNextState(of, {
            kind: "feedback",
            ...(score !== undefined && { score }),
            ...(correction !== undefined && { correction }),
          });
          return;
        }
        case "step-end": {
          const step = stepOf(event);
          if (step !== undefined) step.cost = event.cost;
          return;
        }
        case "signal": {
          const episode = episodes.get(event.of.episodeId);
          if (episode !== undefined) episode.judgedAt = offset;
          stepOf(event.of)?.signalIds.set(event.id, event.signal);
          return;
        }
        case "episode-end": {
          const episode = episodes.get(event.episodeId);
          if (episode === undefined) return;
          episode.waiting = event.stopReason === "awaiting-approval";
          if (episode.waiting) return;
          episode.ended = true;
          for (const other of episodes.values())
            if (!other.ready && other.start.sessionId === event.sessionId && other.offset < episode.offset)
              giveOut(other);
          settle(event.episodeId);
          return;
        }
      }
    },
    takeReady() {
      const taken = [...fresh].map(toLearned);
      fresh.clear();
      return taken;
    },
    giveUpUnended(before) {
      for (const episode of episodes.values())
        if (episode.offset < before && !episode.ended && !episode.waiting && !episode.ready) giveOut(episode);
    },
    all: () => [...episodes.values()].map(toLearned),
    unready: () => [...episodes.values()].filter(({ ready }) => !ready).map(({ offset }) => offset),
    release: (episodeId) => void episodes.delete(episodeId),
  };
}

/** The same feedback told by its own event and as a next state is one next state. */
function sameFeedback(a: NextState, b: NextState): boolean {
  return a.kind === "feedback" && b.kind === "feedback" && a.score === b.score && a.correction === b.correction;
}

/** Whether it has not ended, or nothing came after its last step. */
function isUnanswered({ ended, steps }: OpenEpisode): boolean {
  const last = [...steps.values()].at(-1);
  return !ended || (last !== undefined && last.nextStates.length === 0);
}

function toLearned(episode: OpenEpisode): FoldedEpisode {
  const { start, offset, steps, judgedAt } = episode;
  const { episodeId, sessionId, userId } = start;
  return {
    episodeId,
    sessionId,
    ...(userId !== undefined && { userId }),
    offset,
    startedAt: start.time,
    ...(judgedAt !== undefined && { judgedAt }),
    ...(isUnanswered(episode) && { skipped: "unanswered" as const }),
    steps: [...steps].map(
      ([stepIndex, { action: event, context, seen, guidance, tools, nextStates, signalIds, cost }]) => ({
        of: { episodeId, stepIndex },
        kind: event.action.kind,
        policyVersion: event.policyVersion,
        messages: context.slice(0, seen),
        ...(guidance !== undefined && { guidance }),
        ...(tools !== undefined && { tools }),
        response: responseText(event.action.message.content, event.action.message.toolCalls),
        ...(event.tokens && { tokens: event.tokens }),
        ...(cost && { cost }),
        nextStates: [...nextStates],
        signals: [...signalIds.values()],
        signalIds: new Map(signalIds),
      }),
    ),
  };
}

function responseText(content: string, toolCalls: readonly { name: string; input: unknown }[] | undefined): string {
  const calls = (toolCalls ?? []).map(({ name, input }) => JSON.stringify({ name, input }));
  return [content, ...calls].filter((part) => part !== "").join("\n");
}
