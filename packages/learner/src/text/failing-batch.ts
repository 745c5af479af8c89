import type { EpisodeOutcome } from "../decisions/episode-outcomes.js";

/** When skills are evolved. */
export interface EvolutionRule {
  /** Episodes with a reward that make a batch. */
  readonly batchEpisodes: number;
  /** Skills are evolved from a batch in which a smaller share succeeded (reward above 0), 0–1. */
  readonly threshold: number;
}

/** A batch in which too little succeeded. */
export interface FailingBatch {
  readonly failures: readonly EpisodeOutcome[];
  /** Share of its episodes with a reward above 0. */
  readonly success: number;
}

/** Batches of outcomes, one after the other, each of one generation of learned text. */
export interface Batches {
  take(outcome: EpisodeOutcome): void;
  /** An evolution happened: what came before it is of the past. */
  startAnew(): void;
  /** The last full batch, once, if it failed. */
  takeFailing(): FailingBatch | undefined;
}

/** No outcome yet. */
export function openBatches({ batchEpisodes, threshold }: EvolutionRule): Batches {
  let open: EpisodeOutcome[] = [];
  let full: readonly EpisodeOutcome[] = [];
  return {
    take(outcome) {
      open.push(outcome);
      if (open.length < batchEpisodes) return;
      full = open;
      open = [];
    },
    startAnew() {
      open = [];
      full = [];
    },
    takeFailing() {
      const batch = full;
      full = [];
      const failures = batch.filter(({ reward }) => reward <= 0);
      const success = (batch.length - failures.length) / batch.length;
      return batch.length > 0 && success < threshold ? { failures, success } : undefined;
    },
  };
}
