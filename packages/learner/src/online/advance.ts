import { AgentError } from "@afterstate/core";
import type { FoldedEpisode } from "./episode-fold.js";
import { judgedBefore, judgeEpisode } from "./judged-episode.js";
import { learnBatch } from "./learn-batch.js";
import type { LearnerParts } from "./learner-parts.js";
import { takeReady } from "./recover-learner.js";
import { watchReward } from "./serving-changes.js";

/** Judges and learns from everything that has happened, until it rests. */
export async function advance(parts: LearnerParts, isResting: () => boolean): Promise<void> {
  const { reader, backlog, options } = parts;
  const { batchEpisodes = 16 } = options;
  while (!isResting()) {
    await reader.readWhatHappened();
    takeReady(parts);
    for (;;) {
      const batch = backlog.nextBatch(batchEpisodes);
      const next = backlog.nextUnjudged();
      if (isResting() || (batch === undefined && next === undefined)) break;
      if (batch !== undefined) await learnBatch(parts, batch);
      else await judge(parts, next!);
    }
    if (!reader.isBehind) return;
  }
}

async function judge(parts: LearnerParts, episode: FoldedEpisode): Promise<void> {
  const { options, backlog, surroundings, now } = parts;
  const { hintReader = [], signals } = options;
  const { emit, tellFailure, isJudged, tools } = surroundings;
  const readers = { ...options, hintReaders: [hintReader].flat(), readsHints: signals !== "reward", tools: tools() };
  const onFailure = (code: string, message: string) => tellFailure(new AgentError(code, message));
  const judged = isJudged(episode)
    ? judgedBefore(episode, new Set(episode.steps.flatMap(({ signalIds }) => [...signalIds.keys()])))
    : await judgeEpisode(episode, readers, { now, emit, onFailure });
  backlog.addJudged(judged);
  await watchReward(parts);
}
