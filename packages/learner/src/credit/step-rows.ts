import { AgentError } from "@afterstate/core";

/** Where steps come from, one row each, in any order. [row] */
export interface StepRows {
  /** The trajectory's name. */
  readonly trajectories: readonly string[];
  /** The step's number in its trajectory. */
  readonly steps: readonly number[];
}

/** The places at which each name stands, names in the order of their first. */
export function placesByName(names: readonly string[]): ReadonlyMap<string, readonly number[]> {
  const places = new Map<string, number[]>();
  for (const [i, name] of names.entries()) {
    const found = places.get(name);
    if (found === undefined) places.set(name, [i]);
    else found.push(i);
  }
  return places;
}

/**
 * The rows of each trajectory in the order of their steps; a step that is missing is left out, not filled in.
 *
 * @throws AgentError `tensor/shape` when a trajectory has the same step twice, or the arrays differ in length.
 */
export function rowsByTrajectory({ trajectories, steps }: StepRows): ReadonlyMap<string, readonly number[]> {
  if (trajectories.length !== steps.length)
    throw new AgentError("tensor/shape", `${trajectories.length} trajectories do not go with ${steps.length} steps`);
  const ordered = new Map<string, readonly number[]>();
  for (const [trajectory, rows] of placesByName(trajectories)) {
    const inOrder = rows.toSorted((a, b) => steps[a]! - steps[b]!);
    const twice = inOrder.find((row, k) => k > 0 && steps[row] === steps[inOrder[k - 1]!]);
    if (twice !== undefined)
      throw new AgentError("tensor/shape", `trajectory "${trajectory}" has step ${steps[twice]} twice`);
    ordered.set(trajectory, inOrder);
  }
  return ordered;
}

/** Computes one number a step, trajectory by trajectory, `of` seeing the rows in order. @returns in the order of the rows. */
export function alongTrajectories(
  rows: StepRows,
  of: (rows: readonly number[], trajectory: string) => readonly number[],
): number[] {
  const results = new Array<number>(rows.steps.length);
  for (const [trajectory, inOrder] of rowsByTrajectory(rows)) {
    const values = of(inOrder, trajectory);
    for (const [k, row] of inOrder.entries()) results[row] = values[k]!;
  }
  return results;
}
