import { mapMasked, type Ragged } from "../objectives/ragged.js";
import { GROUP_DEFAULTS, type GroupOptions, groupAdvantages } from "./group-statistics.js";

/**
 * Factuality-aware advantages: a true sentence in a wrong answer is praised, a false one in a right answer blamed.
 *
 *   Â_it = Â_i where f_it Â_i ≥ 0, else −Â_i        FSPO, arXiv:2505.24630
 *
 * f is 1 in a sentence that is entailed, −1 in one that is contradicted, and 0 in all else, where Â_i stays: so do tokens outside any
 * judged sentence, the answer among them, which the released code marks as true. A group of equal rewards stays at 0.
 *
 * @param rewards R_i of each answer; with sentence scores in it: see `factualityReward`. [row]
 * @returns 0 where the mask is 0. [row][token]
 */
export function fspo(
  rows: {
    readonly rewards: readonly number[];
    readonly groups: readonly string[];
    readonly factuality: Ragged;
    readonly mask: Ragged;
  },
  options: GroupOptions = GROUP_DEFAULTS,
): number[][] {
  const advantages = groupAdvantages(rows.rewards, rows.groups, options);
  return mapMasked(rows.mask, (row, t) => {
    const advantage = advantages[row]!;
    return rows.factuality[row]![t]! * advantage < 0 ? -advantage : advantage;
  });
}

/** The paper's reward: the answer's, and the mean of its sentences' f_j. An answer without sentences has its own alone. */
export function factualityReward(answer: number, sentences: readonly number[]): number {
  return answer + sentences.reduce((sum, f) => sum + f, 0) / Math.max(1, sentences.length);
}
