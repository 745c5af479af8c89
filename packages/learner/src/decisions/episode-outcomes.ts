import type { EventPayloads, LogRecord, Signal } from "@afterstate/core";
import { isGuess } from "../signals/weigh-signals.js";

/** The prefix of the decisions by which learned text on trial is shown or held back. */
export const TEXT_DECISION = "text:";

/** What came of one episode, as far as the log tells. */
export interface EpisodeOutcome {
  readonly episodeId: string;
  readonly sessionId: string;
  readonly userId?: string;
  readonly prompt: string;
  readonly answer: string;
  /** What the user said to it, and the advice in that, as far as it has come; "" for nothing. */
  readonly reaction: string;
  readonly hints: readonly string[];
  /** Learned text that its steps saw. */
  readonly guidance?: string;
  readonly decisions: readonly EventPayloads["decision"][];
  /** Of its answer, −1 to 1: the first that says anything. */
  readonly reward: number;
}

/** Reads outcomes off the records of a log, which have to be given from the first one on. */
export interface OutcomeFold {
  /** The outcome that the record settles, if it settles one. Each episode is settled once. */
  take(record: LogRecord): EpisodeOutcome | undefined;
  /** What was decided in an episode; nothing for one that is unknown. */
  decisionsOf(episodeId: string): readonly EventPayloads["decision"][];
  /** Who holds a session, if its user is known. */
  userOf(sessionId: string): string | undefined;
}

interface OpenOutcome {
  readonly sessionId: string;
  readonly prompt: string;
  readonly decisions: EventPayloads["decision"][];
  readonly hints: string[];
  guidance: string | undefined;
  answer: string;
  reaction: string;
  answeredAt: number;
  settled: boolean;
}

/** Episodes and sessions that may wait for what is said of them; the oldest is let go. */
const MOST_OPEN = 20_000;

/** A fold over the event log. */
export function foldOutcomes(): OutcomeFold {
  const open = new Map<string, OpenOutcome>();
  const users = new Map<string, string>();
  return {
    decisionsOf: (episodeId) => open.get(episodeId)?.decisions ?? [],
    userOf: (sessionId) => users.get(sessionId),
    take({ event }) {
      const episode = open.get(event.episodeId);
      switch (event.type) {
        case "episode-start": {
          const { sessionId, episodeId, prompt, userId } = event;
          if (userId !== undefined) keep(users, sessionId, userId);
          if (episode === undefined) keep(open, episodeId, newOutcome(sessionId, prompt));
          return undefined;
        }
        case "decision":
          episode?.decisions.push(event);
          return undefined;
        case "observation":
          if (episode) episode.guidance = event.guidance;
          return undefined;
        case "action":
          if (episode && event.action.kind === "answer") {
            episode.answer = event.action.message.content;
            episode.answeredAt = event.stepIndex;
          }
          return undefined;
        case "next-state": {
          const { of, nextState } = event;
          const answered = open.get(of.episodeId);
          if (answered && nextState.kind === "user") answered.reaction = nextState.text;
          return undefined;
        }
        case "signal": {
          const { episodeId, stepIndex } = event.of;
          const judged = open.get(episodeId);
          if (judged === undefined) return undefined;
          if (event.signal.kind === "hint") judged.hints.push(event.signal.text);
          if (judged.settled || judged.answeredAt !== stepIndex || !isTelling(event.signal)) return undefined;
          judged.settled = true;
          const { sessionId, prompt, answer, reaction, hints, decisions, guidance } = judged;
          const userId = users.get(sessionId);
          const reward = Math.max(-1, Math.min(1, event.signal.value));
          return {
            episodeId,
            sessionId,
            ...(userId !== undefined && { userId }),
            prompt,
            answer,
            reaction,
            hints,
            ...(guidance !== undefined && { guidance }),
            decisions,
            reward,
          };
        }
        default:
          return undefined;
      }
    },
  };
}

function newOutcome(sessionId: string, prompt: string): OpenOutcome {
  const said = { answer: "", reaction: "", hints: [] };
  return { sessionId, prompt, decisions: [], guidance: undefined, ...said, answeredAt: -1, settled: false };
}

/** A judge's 0 says nothing, and a guess was not read off this episode. */
function isTelling(signal: Signal): signal is Signal & { readonly kind: "reward" } {
  if (signal.kind !== "reward" || !Number.isFinite(signal.value) || isGuess(signal)) return false;
  return signal.value !== 0 || signal.source.startsWith("verifier:");
}

function keep<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > MOST_OPEN) map.delete(map.keys().next().value!);
}
