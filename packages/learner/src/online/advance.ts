import { AgentError } from "@afterstate/core";
import { FEEDBACK_RULE, knownUsers, NO_FEEDBACK } from "../safety/feedback-guard.js";
import type { FoldedEpisode } from "./episode-fold.js";
import { type JudgedEpisode, judgedBefore, judgeEpisode } from "./judged-episode.js";
import { learnBatch } from "./learn-batch.js";
import type { LearnerParts } from "./learner-parts.js";
import { takeReady } from "./recover-learner.js";
import { watchReward } from "./serving-changes.js";
import { judgeTrial } from "./try-canary.js";

/** Judges and learns from everything that has happened, until it rests. @param mayUpdate whether an update may start now. */
export async function advance(parts: LearnerParts, isResting: () => boolean, mayUpdate: () => boolean): Promise<void> {
  const { reader, backlog } = parts;
  while (!isResting()) {
    await reader.readWhatHappened();
    takeReady(parts);
    for (;;) {
      const batch = nextBatch(parts);
      const next = backlog.nextUnjudged();
      if (isResting() || (batch === undefined && next === undefined)) break;
      if (batch !== undefined && mayUpdate()) await learnBatch(parts, batch);
      else if (next !== undefined) await judge(parts, next);
      else break;
    }
    if (!reader.isBehind) return;
  }
}

/** None while a candidate is on trial: see {@link judgeTrial}. */
function nextBatch({ backlog, ledger, options }: LearnerParts): readonly JudgedEpisode[] | undefined {
  const { batchEpisodes = 16, feedback } = options;
  const { safety, learned } = ledger.pointer;
  if (safety?.canary !== undefined) return undefined;
  if (feedback === "trusted") return backlog.nextBatch(batchEpisodes);
  const { influence } = { ...FEEDBACK_RULE, ...feedback };
  const known = learned.feedback ?? NO_FEEDBACK;
  const { quarantined } = known;
  return backlog.nextBatch(batchEpisodes, { users: knownUsers(known), influence, quarantined });
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
  await judgeTrial(parts);
  await watchReward(parts);
}
