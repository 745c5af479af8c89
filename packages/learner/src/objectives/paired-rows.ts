import { AgentError } from "@afterstate/core";
import { dpo, ipo, type PreferenceSide } from "./preference.js";
import type { LossAndGradient, Ragged } from "./ragged.js";

/** Which side of which preference a row belongs to. */
export interface PairedRow {
  readonly id: string;
  readonly chosen: boolean;
}

/** Which loss of pairs. */
export type PreferenceLossName =
  | { readonly name: "dpo"; readonly beta: number; readonly labelSmoothing?: number }
  | { readonly name: "ipo"; readonly beta: number };

/**
 * A loss of pairs over rows that are steps: each side is all its rows after one another, and the gradient goes back to where it came
 * from.
 *
 * @param pairs of each row. [row] @param denominator absent: the pairs that there are.
 * @throws AgentError `objective/bad-option` for a row without a pair, or a pair without one of its sides; `tensor/shape`.
 */
export function pairedRows(
  rows: {
    readonly newLogProbs: Ragged;
    readonly referenceLogProbs: Ragged;
    readonly mask: Ragged;
    readonly pairs: readonly (PairedRow | undefined)[];
  },
  loss: PreferenceLossName,
  denominator?: number,
): LossAndGradient {
  const sides = new Map<string, { readonly chosen: number[]; readonly rejected: number[] }>();
  for (const [row, pair] of rows.pairs.entries()) {
    if (pair === undefined)
      throw new AgentError(
        "objective/bad-option",
        `${loss.name} learns from pairs, and sample ${row} has none; set its pair`,
      );
    const found = sides.get(pair.id) ?? { chosen: [], rejected: [] };
    sides.set(pair.id, found);
    found[pair.chosen ? "chosen" : "rejected"].push(row);
  }
  for (const [id, { chosen, rejected }] of sides)
    if (chosen.length === 0 || rejected.length === 0)
      throw new AgentError("objective/bad-option", `pair "${id}" has one side alone; ${loss.name} compares two`);
  const places = [...sides.values()];
  const side = (which: "chosen" | "rejected"): PreferenceSide => {
    const joined = (values: Ragged) => places.map((pair) => pair[which].flatMap((row) => values[row]!));
    const { newLogProbs, referenceLogProbs, mask } = rows;
    return {
      newLogProbs: joined(newLogProbs),
      referenceLogProbs: joined(referenceLogProbs),
      mask: joined(mask),
    };
  };
  const pairs = { chosen: side("chosen"), rejected: side("rejected") };
  const options = { ...loss, denominator: denominator ?? Math.max(1, places.length) };
  const result = loss.name === "dpo" ? dpo(pairs, options) : ipo(pairs, options);
  const gradient: number[][] = rows.mask.map(() => []);
  for (const which of ["chosen", "rejected"] as const)
    for (const [i, pair] of places.entries()) {
      let from = 0;
      for (const row of pair[which]) {
        const { length } = rows.mask[row]!;
        gradient[row] = result[`${which}Gradient`][i]!.slice(from, from + length);
        from += length;
      }
    }
  return { loss: result.loss, gradient };
}
