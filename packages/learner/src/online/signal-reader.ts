import { AgentError, type Clock, type EventLog, type EventType, type Plugin, systemClock } from "@afterstate/core";
import type { CorrectionAttribution, HintReader, StepJudge } from "../types.js";
import { foldEpisodes } from "./episode-fold.js";
import { judgeEpisode } from "./judged-episode.js";
import { LogFollower } from "./log-follower.js";

/** What a signal reader is made of. */
export interface SignalReaderOptions {
  /** The log that the agent writes. */
  readonly log: EventLog;
  readonly judge: StepJudge;
  readonly hintReader: HintReader;
  /** What of corrections is whose: see `learnedText()`. */
  readonly attribution?: CorrectionAttribution;
  readonly clock?: Clock;
}

/** A plugin that reads signals. */
export interface SignalReader extends Plugin {
  /** Resolves once everything that has happened so far is judged. */
  settled(): Promise<void>;
}

/** Episodes that are kept for a next state that comes late, and that are judged at a start. */
const MOST_KEPT = 256;
const WAKING: ReadonlySet<EventType> = new Set(["next-state", "feedback", "episode-end"]);

/**
 * Reads signals off next states where no online learner does, as in front of a hosted model: learned text and learned decisions live on them.
 * They get the ids that an online learner gives them, so that none is told twice.
 */
export function signalReader(options: SignalReaderOptions): SignalReader {
  const { log, judge, hintReader, attribution, clock = systemClock } = options;
  const kept = new Set<string>();
  const readReady = async () => {
    const { fold } = follower;
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
      if (episode.skipped === undefined && !fold.isLeftOut(episode.sessionId))
        await judgeEpisode(episode, readers, {
          now: () => clock.now(),
          emit: (event) => follower.emit(event),
          onFailure: (code, message) => follower.tellFailure(new AgentError(code, message)),
        });
  };
  const readers = {
    judge,
    hintReaders: [hintReader],
    readsHints: true,
    tools: [],
    ...(attribution && { attribution: withoutWeights(attribution) }),
  };
  const follower = new LogFollower({
    name: "signal-reader",
    log,
    wakesOn: WAKING,
    open: ({ isLeftOut }) => ({ ...foldEpisodes(() => false), isLeftOut }),
    afterReading: readReady,
    clock,
  });
  return {
    name: "signal-reader",
    setup: (context) => follower.start(context),
    settled: () => follower.settled(),
  };
}

/** Nobody trains where signals have to be read. */
function withoutWeights(attribution: CorrectionAttribution): CorrectionAttribution {
  return { attribute: (correction) => attribution.attribute({ ...correction, hasWeights: false }) };
}
