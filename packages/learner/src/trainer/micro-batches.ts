import type { TransformerConfig } from "../tensor/transformer-config.js";
import type { TrainingSample } from "../types.js";

/** What goes through one forward and backward pass, of one half of the samples. */
export interface MicroBatch {
  readonly half: 0 | 1;
  readonly samples: readonly TrainingSample[];
}

const MAX_ROWS = 16;
const MAX_TOKENS = 8192;
/** Scores over the vocabulary that one pass may have to hold. In floats. */
const MAX_SCORES = 2 ** 26;

/** Tokens of one forward and backward pass, padding included: what bounds the memory of an update, however many its samples. */
export function tokenBudget({ vocab_size }: Pick<TransformerConfig, "vocab_size">): number {
  return Math.min(MAX_TOKENS, Math.floor(MAX_SCORES / vocab_size));
}

/**
 * Micro-batches of similar length, for little padding, of one half of the samples each. The halves share no episode: steps of
 * one episode share their fate. Gradients of a sum are sums of gradients: how samples are cut changes rounding alone.
 *
 * @param maxTokens rows times the longest of them; a sample that is longer by itself makes a micro-batch of its own.
 */
export function microBatches(samples: readonly TrainingSample[], maxTokens: number): readonly MicroBatch[] {
  const episodes = [...new Set(samples.map(({ of }) => of.episodeId))].sort();
  const halfOf = new Map(episodes.map((episodeId, index) => [episodeId, (index % 2) as 0 | 1]));
  return ([0, 1] as const).flatMap((half) => {
    const sorted = samples
      .filter(({ of }) => halfOf.get(of.episodeId) === half)
      .sort((a, b) => lengthOf(a) - lengthOf(b));
    const cut: TrainingSample[][] = [];
    let longest = 0;
    for (const sample of sorted) {
      const last = cut.at(-1);
      const grown = Math.max(longest, longestOf(sample));
      if (last !== undefined && last.length < MAX_ROWS && (last.length + 1) * grown <= maxTokens) {
        last.push(sample);
        longest = grown;
      } else {
        cut.push([sample]);
        longest = longestOf(sample);
      }
    }
    return cut.map((samples) => ({ half, samples }));
  });
}

const lengthOf = ({ tokens }: TrainingSample): number => tokens.promptIds.length + tokens.ids.length;

/** With what the teacher sees. */
const longestOf = (sample: TrainingSample): number =>
  Math.max(lengthOf(sample), (sample.teacherPromptIds?.length ?? 0) + sample.tokens.ids.length);
