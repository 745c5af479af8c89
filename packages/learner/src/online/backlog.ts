import { fairBatch } from "../safety/fair-batch.js";
import { userOf } from "../safety/feedback-guard.js";
import type { InfluenceRule } from "../safety/influence.js";
import type { LearningSignals } from "../versions/batch-record.js";
import { isInformative } from "./assemble-batch.js";
import type { FoldedEpisode } from "./episode-fold.js";
import { episodeReward, type JudgedEpisode, judgedBefore } from "./judged-episode.js";

/** Episodes without anything to learn that may wait before they are let go. */
const MAX_IDLE = 256;

/**
 * The episodes that are ready and not consumed. Those that became so together come in the order of their sessions, whichever ended first;
 * what was judged in an earlier run comes before them, in the order in which it was.
 */
export interface Backlog {
  /**
   * Takes in what became ready; an episode that comes again is judged again. What is skipped is not judged: it goes with the next batch,
   * and has no part in when that is full.
   */
  addReady(episodes: readonly FoldedEpisode[]): void;
  nextUnjudged(): FoldedEpisode | undefined;
  /** Moves the first unjudged episode on. */
  addJudged(episode: JudgedEpisode): void;
  /** Judged episodes with something to learn that wait for an update, and those still to be judged. */
  readonly pending: number;
  /** The judged episodes that fill a batch with those before the last of them, or that say nothing and are too many to keep. */
  nextBatch(batchEpisodes: number, fairness?: Fairness): readonly JudgedEpisode[] | undefined;
  /** In the order in which they were. */
  readonly judged: readonly JudgedEpisode[];
  /** Start offsets of what would be left without `consumed`. */
  offsetsWithout(consumed: readonly JudgedEpisode[]): readonly number[];
  remove(consumed: readonly JudgedEpisode[]): void;
  /** Rewards of the judged episodes that a version answered. */
  rewardsOf(version: string): readonly number[];
}

/** What keeps one user from filling batches: see `fairBatch`. */
export interface Fairness {
  readonly users: number;
  readonly influence: InfluenceRule;
  /** Users whose episodes fill nothing. */
  readonly quarantined: Readonly<Record<string, string>>;
}

/** The version that answered an episode, and the reward it got; undefined when nobody said anything. */
export function rewardByVersion(episode: JudgedEpisode): { version: string; reward: number } | undefined {
  const reward = episodeReward(episode);
  const version = episode.steps.at(-1)?.policyVersion;
  return reward === undefined || version === undefined ? undefined : { version, reward };
}

const NOT_FAIR: Fairness = {
  users: 0,
  influence: { maxShare: 1, minUsers: Number.POSITIVE_INFINITY },
  quarantined: {},
};

/** An empty backlog. @param isHeldOut sessions of which nothing is learned. */
export function openBacklog(signals: LearningSignals, isHeldOut: (sessionId: string) => boolean): Backlog {
  let unjudged: readonly FoldedEpisode[] = [];
  let judged: readonly JudgedEpisode[] = [];
  let skipped: readonly JudgedEpisode[] = [];
  const isWanted = (episode: JudgedEpisode) => isInformative(episode, signals) && !isHeldOut(episode.sessionId);
  return {
    addReady(episodes) {
      for (const episode of episodes.toSorted(byTurn)) {
        judged = judged.filter(({ episodeId }) => episodeId !== episode.episodeId);
        skipped = skipped.filter(({ episodeId }) => episodeId !== episode.episodeId);
        if (episode.skipped === undefined) unjudged = withEpisode(unjudged, episode);
        else {
          unjudged = unjudged.filter(({ episodeId }) => episodeId !== episode.episodeId);
          skipped = [...skipped, judgedBefore(episode, [])];
        }
      }
    },
    nextUnjudged: () => unjudged[0],
    addJudged(episode) {
      unjudged = unjudged.slice(1);
      judged = [...judged, episode];
    },
    get pending() {
      return judged.filter(isWanted).length + unjudged.length;
    },
    get judged() {
      return judged;
    },
    nextBatch(batchEpisodes, { users, influence, quarantined } = NOT_FAIR) {
      const waiting = judged.map((episode) => {
        const user = userOf(episode);
        return { user, informative: isWanted(episode) && quarantined[user] === undefined };
      });
      const end = fairBatch(waiting, batchEpisodes, users, influence);
      if (end !== undefined) return [...skipped, ...judged.slice(0, end)];
      const idle = judged.findIndex(isWanted);
      const leading = judged.slice(0, idle < 0 ? judged.length : idle);
      if (leading.length >= MAX_IDLE) return [...skipped, ...leading];
      return skipped.length >= MAX_IDLE ? skipped : undefined;
    },
    offsetsWithout: (consumed) => [
      ...unjudged.map(({ offset }) => offset),
      ...[...skipped, ...judged].filter((episode) => !consumed.includes(episode)).map(({ offset }) => offset),
    ],
    remove(consumed) {
      judged = judged.filter((episode) => !consumed.includes(episode));
      skipped = skipped.filter((episode) => !consumed.includes(episode));
    },
    rewardsOf: (version) =>
      judged.flatMap((episode) => {
        const known = rewardByVersion(episode);
        return known?.version === version ? [known.reward] : [];
      }),
  };
}

function byTurn(a: FoldedEpisode, b: FoldedEpisode): number {
  if (a.judgedAt !== b.judgedAt)
    return (a.judgedAt ?? Number.MAX_SAFE_INTEGER) - (b.judgedAt ?? Number.MAX_SAFE_INTEGER);
  if (a.sessionId === b.sessionId) return a.offset - b.offset;
  return a.sessionId < b.sessionId ? -1 : 1;
}

function withEpisode<T extends FoldedEpisode>(episodes: readonly T[], episode: T): readonly T[] {
  const again = episodes.findIndex(({ episodeId }) => episodeId === episode.episodeId);
  return again < 0 ? [...episodes, episode] : episodes.with(again, episode);
}
