import { INFLUENCE_RULE, type InfluenceRule } from "./influence.js";

/**
 * How many of the waiting episodes make a batch. With enough users those of one count no more than a share of the batch, so that
 * somebody who floods the learner waits for the others, and cannot fill a batch alone.
 *
 * @param waiting in order, with whether there is something to learn from each.
 * @param users that are known besides those who wait.
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
  let counted = 0;
  for (const [index, { user, informative }] of waiting.entries()) {
    const own = counts.get(user) ?? 0;
    if (!informative || own >= most) continue;
    counts.set(user, own + 1);
    counted += 1;
    if (counted === batchEpisodes) return index + 1;
  }
  return undefined;
}
