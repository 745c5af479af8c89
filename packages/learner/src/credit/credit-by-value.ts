import type { ActionKind } from "@afterstate/core";
import { whitenTokens } from "../objectives/whiten.js";
import type { CreditedTrajectory, CreditOptions, PartialCredit, TrajectoryStep } from "./credited-trajectory.js";
import { HIPER_DEFAULTS, type HiperHeads, type HiperRole, hiper, hiperRewards, hiperTokens } from "./hiper.js";
import { tokenGaeAcrossSteps } from "./row-gae.js";
import { meanOf, type RunningMean, takeIn } from "./running-mean.js";
import type { CreditState } from "./step-credit.js";

/*
 * The critic of these credits is a running mean of returns for each state key. A critic of its own network would have to be trained
 * for hundreds of updates before its values are worth more than that, and small batches from live use never pay for them; a value for
 * each task and step index would see too few returns. The environment names few keys, such as how much is left to do.
 */

/** Token GAE over each trajectory, with the value of a step's state at each of its tokens: nothing is observed between them. */
export function creditByTokens(
  trajectories: readonly CreditedTrajectory[],
  values: CreditState["values"],
  options: CreditOptions,
): PartialCredit {
  const rows = rowsOf(trajectories);
  const mask = rows.steps.map(({ mask }) => mask);
  const before = rows.steps.map(({ stateKey }) => meanOf(values[stateKey], 0));
  const own = tokenGaeAcrossSteps(
    { ...rows.places, rewards: rows.rewards, values: mask.map((tokens, row) => tokens.map(() => before[row]!)), mask },
    options,
  ).map((tokens, row) => tokens.map((advantage) => (rows.known[row] ? advantage : 0)));
  const after: Record<string, RunningMean> = { ...values };
  for (const [row, { stateKey, mask }] of rows.steps.entries()) {
    const first = mask.indexOf(1);
    if (rows.known[row] && first >= 0)
      after[stateKey] = takeIn(after[stateKey], own[row]![first]! + before[row]!, options.decay);
  }
  const advantages = options.whiten === true ? whitenTokens(own, mask) : own;
  return {
    credits: perTrajectory(trajectories, (row) => ({ advantages: advantages[row]!, mask: mask[row]! })),
    values: after,
  };
}

/** HiPER, its three critics running means under `low/`, `high/` and `term/` before the state key. */
export function creditByHierarchy(
  trajectories: readonly CreditedTrajectory[],
  values: CreditState["values"],
  options: CreditOptions,
): PartialCredit {
  const rows = rowsOf(trajectories);
  const keyOf = (head: keyof HiperHeads<unknown>, row: number) => `${head}/${rows.steps[row]!.stateKey}`;
  const valuesOf = (head: keyof HiperHeads<unknown>) => rows.steps.map((_, row) => meanOf(values[keyOf(head, row)], 0));
  const before = { low: valuesOf("low"), high: valuesOf("high"), term: valuesOf("term") };
  const switches = rows.steps.map(({ switched, kind }) => switched ?? isPlan(kind));
  const shaped = hiperRewards(
    {
      ...rows.places,
      rewards: rows.rewards,
      switches,
      valid: switches.map(() => true),
      subgoals: rows.steps.map(({ subgoal }) => subgoal),
    },
    { keepPenalty: 0, invalidPenalty: 0, ...options },
  );
  const credit = hiper(
    {
      ...rows.places,
      rewards: shaped,
      terminated: trajectories.flatMap(({ steps, terminated }) => steps.map(() => terminated)),
      switches,
      values: before,
    },
    {
      ...HIPER_DEFAULTS,
      gamma: options.gamma,
      turnLambda: options.lambda,
      segmentLambda: options.segmentLambda ?? HIPER_DEFAULTS.segmentLambda,
    },
  );
  const after: Record<string, RunningMean> = { ...values };
  for (const head of ["low", "high", "term"] as const)
    for (const row of rows.steps.keys())
      if (rows.known[row] && (head !== "high" || credit.boundary[row])) {
        const key = keyOf(head, row);
        after[key] = takeIn(after[key], credit[head][row]! + before[head][row]!, options.decay);
      }
  const { advantages, mask } = hiperTokens(
    credit,
    rows.steps.map(rolesOf),
    rows.steps.map(({ mask }, row) => mask.map((sampled) => (rows.known[row] ? sampled : 0))),
  );
  return {
    credits: perTrajectory(trajectories, (row) => ({ advantages: advantages[row]!, mask: mask[row]! })),
    values: after,
  };
}

function rolesOf({ roles, kind, mask }: TrajectoryStep): readonly HiperRole[] {
  return roles ?? mask.map(() => (isPlan(kind) ? "subgoal" : "action"));
}

function isPlan(kind: ActionKind): boolean {
  return kind === "plan";
}

/** Steps as rows, trajectory by trajectory. A step of a trajectory of which nothing is known is not `known`. [row] */
function rowsOf(trajectories: readonly CreditedTrajectory[]) {
  const steps = trajectories.flatMap(({ steps }) => steps);
  return {
    steps,
    places: {
      trajectories: trajectories.flatMap(({ id, steps }) => steps.map(() => id)),
      steps: trajectories.flatMap(({ steps }) => steps.map((_, k) => k)),
    },
    rewards: steps.map(({ reward }) => reward ?? 0),
    known: trajectories.flatMap(({ steps }) => {
      const known = steps.some(({ reward }) => reward !== undefined);
      return steps.map(() => known);
    }),
  };
}

/** Rows back in [trajectory][step]. */
function perTrajectory<T>(trajectories: readonly CreditedTrajectory[], of: (row: number) => T): T[][] {
  let row = 0;
  return trajectories.map(({ steps }) => steps.map(() => of(row++)));
}
