import type { JudgedEpisode } from "./judged-episode.js";

/** The episodes that were consumed last. */
export interface ConsumedEpisodes {
  add(episodes: readonly JudgedEpisode[]): void;
  /** The oldest first. */
  readonly episodes: readonly JudgedEpisode[];
}

/** None yet. @param most how many are kept. */
export function consumedEpisodes(most: number): ConsumedEpisodes {
  let kept: readonly JudgedEpisode[] = [];
  return {
    add(episodes) {
      kept = [...kept, ...episodes].slice(Math.max(0, kept.length + episodes.length - most));
    },
    get episodes() {
      return kept;
    },
  };
}
