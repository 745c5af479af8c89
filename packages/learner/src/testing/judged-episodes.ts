import type { ActionKind, Message, NextState, Signal } from "@afterstate/core";
import type { JudgedEpisode, JudgedStep } from "../online/judged-episode.js";

/** What is told of a judged step; everything else is of no account. */
export interface ToldStep {
  readonly kind?: ActionKind;
  readonly response?: string;
  readonly messages?: readonly Message[];
  readonly nextStates?: readonly NextState[];
  readonly reward?: number;
  readonly signals?: readonly Signal[];
}

/** A judged episode of one session of its own. */
export function judgedEpisode(
  episodeId: string,
  userId: string | undefined,
  steps: readonly ToldStep[],
  startedAt = 0,
): JudgedEpisode {
  return {
    episodeId,
    sessionId: `session of ${episodeId}`,
    ...(userId !== undefined && { userId }),
    offset: 0,
    startedAt,
    steps: steps.map(
      ({ kind = "answer", response = "24", messages = [], nextStates = [], reward, signals = [] }, stepIndex) =>
        ({
          of: { episodeId, stepIndex },
          kind,
          policyVersion: "base",
          messages,
          response,
          nextStates,
          signals,
          signalIds: new Map(),
          reward,
          evidence: reward !== undefined && reward !== 0,
          shaping: 0,
          hints: [],
        }) satisfies JudgedStep,
    ),
  };
}
