import { tokenPpoClip } from "../objectives/ppo-clip.js";
import type { BatchStatistics, PolicyLossOptions, PolicyLossRow, PolicyTerm } from "../tensor/policy-loss.js";
import type { Address } from "./kernels.js";
import type { Machine } from "./machine.js";
import { type PackedTokens, packInputs, type SelectedRows } from "./packed-tokens.js";
import type { ScoreRows } from "./score-rows.js";
import type { Scorer } from "./scorer.js";
import type { RowLoss } from "./trainable.js";

/** Rows of one micro-batch with all that is constant in an update. Arrays run over the response tokens that count. [counted] */
export interface PolicyBatch {
  readonly tokens: PackedTokens;
  readonly selected: SelectedRows;
  readonly advantages: Float32Array;
  /** Filled by the first pass of the loss where it was not known before: the policy is still the old one then. */
  readonly oldLogProbs: Float32Array;
  /** Whether {@link oldLogProbs} are there; set by whoever ran the first pass. */
  oldKnown: boolean;
  /** log π_reference of every token, where it is held: see {@link withReference}. [counted, vocab] */
  readonly reference: Address | undefined;
  /** Absent when no row has a hint. */
  readonly lesson?: Lesson;
  dispose(): void;
}

/** What the policy says when it sees the hints: see `Lesson` in tensor/policy-loss.ts. */
export interface Lesson {
  /** log π_old given the hint, of every token. [hinted, vocab] */
  readonly teacher: Address;
  /** Where a counted token stands among the hinted ones; −1 where its row has no hint. [counted] */
  readonly teacherRows: Int32Array;
  /** [counted] */
  readonly weight: Float32Array;
  /** [counted] */
  readonly delta: Float32Array;
}

/**
 * Makes a batch: reference and teacher log-probabilities, and the old ones where a hint needs them. The teacher is the policy itself,
 * seeing the hint.
 *
 * @param room bytes that the reference's log-probabilities may take as long as the batch lives.
 */
export function preparePolicyBatch(
  machine: Machine,
  policy: Scorer,
  reference: Scorer,
  rows: readonly PolicyLossRow[],
  { teach, room }: { readonly teach: boolean; readonly room: number },
): PolicyBatch {
  const { tokens, selected } = packCounted(rows);
  const hinted = teach && rows.some(({ teacherPromptIds }) => teacherPromptIds !== undefined);
  const oldLogProbs = hinted ? policy.score(tokens, selected) : new Float32Array(selected.rows.length);
  const advantages = rows.flatMap(({ ids, mask, advantages }) =>
    ids.flatMap((_, t) => (mask[t] === 1 ? [advantages[t]!] : [])),
  );
  const held = 4 * selected.rows.length * reference.model.vocab <= room;
  const referenceLogProbs = held ? scoreAll(machine, reference, tokens, selected).address : undefined;
  const lesson = hinted ? prepareLesson(machine, policy, rows, oldLogProbs) : undefined;
  return {
    tokens,
    selected,
    advantages: Float32Array.from(advantages),
    oldLogProbs,
    oldKnown: hinted,
    reference: referenceLogProbs,
    ...(lesson !== undefined && { lesson }),
    dispose() {
      if (referenceLogProbs !== undefined) machine.arena.free(referenceLogProbs);
      if (lesson !== undefined) machine.arena.free(lesson.teacher);
    },
  };
}

/** Runs with log π_reference of every token of a batch: as it is held, or computed for this run alone. [counted, vocab] */
export function withReference<T>(
  machine: Machine,
  reference: Scorer,
  { tokens, selected, reference: held }: PolicyBatch,
  run: (reference: Address) => T,
): T {
  if (held !== undefined) return run(held);
  const { address } = scoreAll(machine, reference, tokens, selected);
  try {
    return run(address);
  } finally {
    machine.arena.free(address);
  }
}

/** Packs rows and selects where their counted tokens are predicted: at the token before each. */
function packCounted(rows: readonly PolicyLossRow[]): {
  readonly tokens: PackedTokens;
  readonly selected: SelectedRows;
} {
  const tokens = packInputs(rows.map(({ promptIds, ids }) => [...promptIds, ...ids]));
  const counted = rows.flatMap(({ promptIds, ids, mask, temperature }, index) =>
    ids.flatMap((id, t) => {
      const row = tokens.sequences[index]!.start + promptIds.length + t - 1;
      return mask[t] === 1 ? [{ row, id, temperature }] : [];
    }),
  );
  const selected = {
    rows: Int32Array.from(counted, ({ row }) => row),
    targets: Int32Array.from(counted, ({ id }) => id),
  };
  if (counted.every(({ temperature }) => temperature === 1)) return { tokens, selected };
  const inverseTemperatures = Float32Array.from(counted, ({ temperature }) => 1 / temperature);
  return { tokens, selected: { ...selected, inverseTemperatures } };
}

/** log π of every token at the selected rows, as a block that the caller frees. [selected, vocab] */
function scoreAll(
  { arena, kernels }: Machine,
  scorer: Scorer,
  tokens: PackedTokens,
  selected: SelectedRows,
): { readonly address: Address; readonly targets: Float32Array } {
  const { vocab } = scorer.model;
  const address = arena.allocate(Math.max(1, selected.rows.length * vocab));
  const targets = scorer.score(tokens, selected, ({ from, count, scores, logSumExp }) => {
    kernels.subtractRows(scores, logSumExp, vocab, count);
    arena.floats.copyWithin(address / 4 + from * vocab, scores / 4, scores / 4 + count * vocab);
  });
  return { address, targets };
}

/** What the teacher says at the counted tokens of the hinted rows. */
function prepareLesson(
  machine: Machine,
  policy: Scorer,
  rows: readonly PolicyLossRow[],
  oldLogProbs: Float32Array,
): Lesson {
  const hinted = rows.flatMap(({ teacherPromptIds, ...row }) =>
    teacherPromptIds === undefined ? [] : [{ ...row, promptIds: teacherPromptIds }],
  );
  const { tokens, selected } = packCounted(hinted);
  const { address, targets } = scoreAll(machine, policy, tokens, selected);
  const teacherRows = new Int32Array(oldLogProbs.length).fill(-1);
  const weight = new Float32Array(oldLogProbs.length);
  const delta = new Float32Array(oldLogProbs.length);
  let [at, place] = [0, 0];
  for (const { teacherPromptIds, teacherWeight = 1, mask, ids } of rows) {
    const counted = ids.filter((_, t) => mask[t] === 1).length;
    if (teacherPromptIds !== undefined) {
      for (let prefix = 0, end = at + counted, i = at; i < end; i++) {
        teacherRows[i] = place;
        weight[i] = teacherWeight * Math.exp(Math.min(0, prefix));
        delta[i] = targets[place++]! - oldLogProbs[i]!;
        prefix += delta[i]!;
      }
    }
    at += counted;
  }
  return { teacher: address, teacherRows, weight, delta };
}

/**
 * The loss of `policyLoss` in tensor/policy-loss.ts, where its equation is.
 *
 * @param reference see {@link withReference}.
 * @param term takes the place of PPO-clip.
 */
export function policyLoss(
  batch: PolicyBatch,
  reference: Address,
  options: PolicyLossOptions,
  term?: PolicyTerm,
): RowLoss {
  const { klCoefficient, distillationWeight, distillationClip, denominator } = options;
  const { tokens, selected, advantages, oldLogProbs, lesson } = batch;
  return {
    tokens,
    selected,
    gradient({ arena, kernels }, { vocab }, { from, count, scores, targets, logSumExp, logProbs }) {
      const [slopes, costs, teacherRows, weights] = [
        arena.take(count),
        arena.take(count),
        arena.take(count),
        arena.take(count),
      ];
      const [slope, logProb] = [arena.view(slopes, count), arena.view(logProbs, count)];
      if (!batch.oldKnown) oldLogProbs.set(logProb, from);
      let loss = 0;
      // The value of a term is 0 where it was scored, which is here.
      if (term !== undefined) slope.set(term.slopes.subarray(from, from + count));
      else
        for (let row = 0; row < count; row++) {
          const logRatio = logProb[row]! - oldLogProbs[from + row]!;
          const token = tokenPpoClip(logRatio, advantages[from + row]!, options);
          loss += token.loss;
          slope[row] = token.slope / denominator;
        }
      if (klCoefficient === 0 && lesson === undefined) {
        kernels.targetGradient(scores, targets, logSumExp, slopes, vocab, count);
        return loss / denominator;
      }
      const taught = arena.integers(teacherRows, count);
      if (lesson === undefined) taught.fill(-1);
      else {
        taught.set(lesson.teacherRows.subarray(from, from + count));
        arena.view(weights, count).set(lesson.weight.subarray(from, from + count).map((w) => w * distillationWeight));
      }
      kernels.policyGradient(
        scores,
        targets,
        logSumExp,
        slopes,
        reference + from * vocab * 4,
        klCoefficient,
        lesson?.teacher ?? 0,
        teacherRows,
        weights,
        distillationClip,
        1 / denominator,
        costs,
        vocab,
        count,
      );
      return (loss + arena.view(costs, count).reduce((sum, cost) => sum + cost, 0)) / denominator;
    },
  };
}

/** Log-probabilities, exact divergence from the reference and entropy at every counted token. */
export function batchStatistics(
  { arena, kernels }: Machine,
  policy: Scorer,
  { tokens, selected }: PolicyBatch,
  reference: Address,
): BatchStatistics {
  const count = selected.rows.length;
  const [kl, entropy] = [new Float32Array(count), new Float32Array(count)];
  const logProbs = policy.score(tokens, selected, (part: ScoreRows) =>
    arena.scope(() => {
      const [divergence, surprise] = [arena.take(part.count), arena.take(part.count)];
      const { vocab } = policy.model;
      const other = reference + part.from * vocab * 4;
      kernels.divergenceAndEntropy(part.scores, part.logSumExp, other, divergence, surprise, vocab, part.count);
      kl.set(arena.view(divergence, part.count), part.from);
      entropy.set(arena.view(surprise, part.count), part.from);
    }),
  );
  return { logProbs, kl, entropy };
}
