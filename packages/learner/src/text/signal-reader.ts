import type { AgentEvent, LogRecord } from "@afterstate/core";
import { foldEpisodes } from "../online/episode-fold.js";
import { judgeEpisode } from "../online/judged-episode.js";
import type { CorrectionAttribution, HintReader, StepJudge } from "../types.js";

/** Episodes that are kept for a next state that comes late, and that are read at a start. */
const MOST_KEPT = 256;

/** Reads signals off next states as an online learner does, under the same ids, where there is none. */
export interface SignalReader {
  take(record: LogRecord): void;
  /** Judges the episodes that have become ready, and tells of what the log does not have. */
  readReady(): Promise<void>;
}

/** A reader that has seen nothing. */
export function openSignalReader(options: {
  readonly judge: StepJudge;
  readonly hintReader: HintReader;
  readonly attribution: CorrectionAttribution;
  readonly now: () => number;
  readonly emit: (event: AgentEvent) => Promise<void>;
  readonly onFailure: (code: string, message: string) => Promise<unknown>;
}): SignalReader {
  const { now, emit, onFailure, ...readers } = options;
  const fold = foldEpisodes(() => false);
  const kept = new Set<string>();
  return {
    take: (record) => fold.take(record),
    async readReady() {
      const ready = fold.takeReady();
      for (const { episodeId } of ready) {
        kept.delete(episodeId);
        kept.add(episodeId);
      }
      for (const episodeId of [...kept].slice(0, Math.max(0, kept.size - MOST_KEPT))) {
        kept.delete(episodeId);
        fold.release(episodeId);
      }
      for (const episode of ready.slice(-MOST_KEPT))
        await judgeEpisode(episode, { ...readers, readsHints: true }, { now, emit, onFailure });
    },
  };
}
