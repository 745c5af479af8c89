import { type GaeOptions, stepGae, tokenGae } from "./gae.js";
import { alongTrajectories, rowsByTrajectory, type StepRows } from "./step-rows.js";

/**
 * `stepGae` over step rows in any order: one row is one step, with its own context.
 *
 * @param rewards R_k, the sum over the step. [row] @param values V(o_k), before the step's first token. [row]
 * @param bootstraps V after the last step of a trajectory that was truncated; a trajectory that is not named has 0.
 * @returns Â_k; the critic's target is Â_k + V(o_k). [row]
 */
export function stepRowGae(
  rows: StepRows & { readonly rewards: readonly number[]; readonly values: readonly number[] },
  options: GaeOptions,
  bootstraps: Readonly<Record<string, number>> = {},
): number[] {
  return alongTrajectories(rows, (inOrder, trajectory) =>
    stepGae(
      inOrder.map((row) => rows.rewards[row]!),
      inOrder.map((row) => rows.values[row]!),
      options,
      bootstraps[trajectory] ?? 0,
    ),
  );
}

/**
 * `tokenGae` over the sampled tokens of all steps of a trajectory, joined in order: one chain from the last token to the first.
 *
 * @param rewards a step's reward, which goes to its last sampled token. [row]
 * @param values V of each token. [row][token]
 * @returns Â_it, 0 where the mask is 0. [row][token]
 */
export function tokenGaeAcrossSteps(
  rows: StepRows & {
    readonly rewards: readonly number[];
    readonly values: readonly (readonly number[])[];
    readonly mask: readonly (readonly number[])[];
  },
  options: GaeOptions,
): number[][] {
  const results = rows.mask.map((tokens) => tokens.map(() => 0));
  for (const inOrder of rowsByTrajectory(rows).values()) {
    const mask = inOrder.flatMap((row) => rows.mask[row]!);
    const rewards = inOrder.flatMap((row) => {
      const last = rows.mask[row]!.lastIndexOf(1);
      return rows.mask[row]!.map((_, t) => (t === last ? rows.rewards[row]! : 0));
    });
    const values = inOrder.flatMap((row) => rows.values[row]!);
    const advantages = tokenGae(rewards, values, mask, options);
    let from = 0;
    for (const row of inOrder) {
      const { length } = rows.mask[row]!;
      results[row] = advantages.slice(from, from + length);
      from += length;
    }
  }
  return results;
}
