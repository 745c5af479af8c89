import { INFLUENCE_RULE, type InfluenceRule } from "./influence.js";

/** Batches' worth of episodes of too few users that are one batch all the same. */
const ENOUGH = 4;

/**
 * How many of the waiting episodes make a batch. With enough users those of one count no more than a share of the batch, so that
 * somebody who floods the learner waits for the others, and cannot fill a batch alone.
 *
 * @param waiting in order, with whether there is something to learn from each.
 * @param users that are known besides those who wait.
 * So that users who have left hold nobody up for ever, what is waiting is enough once it is a multiple of a batch, whoever it is of.
 *
 * @returns undefined while there are too few.
 */
export function fairBatch(
  waiting: readonly { readonly user: string; readonly informative: boolean }[],
  batchEpisodes: number,
  users: number,
  { maxShare, minUsers }: InfluenceRule = INFLUENCE_RULE,
): number | undefined {
  const many = Math.max(users, new Set(waiting.map(({ user }) => user)).size) >= minUsers;
  const most = many ? Math.max(1, Math.floor(maxShare * batchEpisodes)) : batchEpisodes;
  const counts = new Map<string, number>();
  let [counted, all] = [0, 0];
  for (const [index, { user, informative }] of waiting.entries()) {
    if (!informative) continue;
    const own = counts.get(user) ?? 0;
    counts.set(user, own + 1);
    all += 1;
    if (own < most) counted += 1;
    if (counted === batchEpisodes || all === ENOUGH * batchEpisodes) return index + 1;
  }
  return undefined;
}
