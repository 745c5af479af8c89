import type { Objective } from "../objectives/objective.js";
import { TRUNCATED_BY_TOKEN } from "../objectives/off-policy.js";
import type { UpdateOptions } from "../types.js";

/**
 * The update on samples of which some are of an older version: truncated importance sampling by token, unless its objective has a
 * correction of its own. Without any the update would take what another policy sampled for its own.
 */
export function correctForAge(update: UpdateOptions): UpdateOptions {
  const { clipLow, clipHigh, objective } = update;
  const own: Objective = objective ?? { loss: { name: "ppo", clipLow, clipHigh }, aggregation: "constant" };
  return { ...update, objective: { correction: TRUNCATED_BY_TOKEN, ...own } };
}
