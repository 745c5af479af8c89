import { AgentError } from "@afterstate/core";
import { omissionCredit, omissionReward } from "./agent-omit.js";
import {
  type CreditedTrajectory,
  type CreditName,
  type CreditOptions,
  type PartialCredit,
  spreadOverSteps,
} from "./credited-trajectory.js";
import { fspo } from "./fspo.js";
import { GIGPO_DEFAULTS, gigpo } from "./gigpo.js";
import { GROUP_DEFAULTS, type GroupOptions, groupAdvantages, leaveOneOut } from "./group-statistics.js";
import { INFORMATION_GAIN_DEFAULTS, informationGainAdvantages } from "./information-gain.js";
import { meanOf, type RunningMean, takeIn } from "./running-mean.js";
import type { CreditState } from "./step-credit.js";
import { placesByName } from "./step-rows.js";

/** Credits that compare trajectories of one task. Those of which nothing is known take no part, and get 0. */
export function creditByComparison(
  credit: Exclude<CreditName, "broadcast" | "step" | "token" | "hierarchical">,
  trajectories: readonly CreditedTrajectory[],
  values: CreditState["values"],
  options: CreditOptions,
): PartialCredit {
  const known = trajectories.filter(({ steps }) => steps.some(({ reward }) => reward !== undefined));
  const compared = compare(credit, known, options);
  const { advantages, values: after } =
    credit === "rewarded" ? { advantages: compared, values } : alone(known, compared, values, options.decay);
  const byId = new Map(known.map(({ id }, i) => [id, advantages[i]!]));
  const zeros = (steps: CreditedTrajectory["steps"]) => steps.map(({ mask }) => mask.map(() => 0));
  const credits = trajectories.map(({ id, steps }) => {
    const own = byId.get(id) ?? zeros(steps);
    return steps.map(({ mask }, k) => ({ advantages: own[k]!, mask }));
  });
  if (credit !== "rewarded") return { credits, values: after };
  // What was not selected is not there at all: it leaves the denominator, too.
  const left = credits.map((steps) => steps.map(({ advantages }) => ({ advantages, mask: advantages })));
  return { credits: left, values: after };
}

/** What each token gets by comparison. [trajectory][step][token] */
function compare(
  credit: Parameters<typeof creditByComparison>[0],
  trajectories: readonly CreditedTrajectory[],
  options: CreditOptions,
): readonly (readonly (readonly number[])[])[] {
  const group: GroupOptions = { ...GROUP_DEFAULTS, ...options.group, singleton: "zero" };
  const outcomes = trajectories.map(outcomeOf);
  const tasks = trajectories.map(({ task }) => task);
  const broadcast = (perTrajectory: readonly number[]) =>
    spreadOverSteps(
      trajectories,
      trajectories.map(({ steps }, i) => steps.map(() => perTrajectory[i]!)),
    ).map((steps) => steps.map(({ advantages }) => advantages));
  const bySteps = (perRow: readonly number[]) => {
    const rest = perRow.values();
    const nested = trajectories.map(({ steps }) => steps.map(() => rest.next().value!));
    return spreadOverSteps(trajectories, nested).map((steps) => steps.map(({ advantages }) => advantages));
  };
  switch (credit) {
    case "group":
      return broadcast(groupAdvantages(outcomes, tasks, group));
    case "leave-one-out":
      return broadcast(leaveOneOut(outcomes, tasks, group));
    case "rewarded":
      return broadcast(outcomes.map((outcome) => (outcome >= (options.threshold ?? 1) ? 1 : 0)));
    case "anchor": {
      const { scale, epsilon } = group;
      const { gamma, stepWeight = GIGPO_DEFAULTS.stepWeight } = options;
      const rows = {
        ...rowsOf(trajectories),
        anchors: trajectories.flatMap(({ steps }) => steps.map(({ anchor }) => anchor)),
        rewards: trajectories.flatMap(({ steps }) => steps.map(({ reward }) => reward ?? 0)),
      };
      return bySteps(gigpo(rows, { ...GIGPO_DEFAULTS, gamma, stepWeight, scale, epsilon }).advantages);
    }
    case "factuality":
      return byTokens(
        trajectories,
        fspo(
          {
            rewards: outcomes,
            groups: tasks,
            factuality: trajectories.map(({ steps }) =>
              steps.flatMap(({ factuality, mask }) => factuality ?? mask.map(() => 0)),
            ),
            mask: trajectories.map(({ steps }) => steps.flatMap(({ mask }) => mask)),
          },
          group,
        ),
      );
    case "omission":
      return broadcast(omissions(trajectories, outcomes, options.mu ?? 0.2, group));
    case "information-gain": {
      const goldLogProbs = trajectories.flatMap(({ id, steps }) =>
        steps.map(({ goldLogProb }) => told(goldLogProb, `a step of trajectory "${id}"`)),
      );
      const perTrajectory = (of: (i: number) => number) =>
        Object.fromEntries(trajectories.map(({ id }, i) => [id, of(i)]));
      return bySteps(
        informationGainAdvantages(
          {
            ...rowsOf(trajectories),
            goldLogProbs,
            priorLogProbs: perTrajectory((i) => told(trajectories[i]!.priorLogProb, `trajectory "${tasks[i]}"`)),
            outcomes: perTrajectory((i) => outcomes[i]!),
          },
          { ...INFORMATION_GAIN_DEFAULTS, gamma: options.gamma, group },
        ),
      );
    }
  }
}

/** Whoever has nobody to be compared with gets its outcome less a running baseline of the state that it began at, on top. */
function alone(
  trajectories: readonly CreditedTrajectory[],
  compared: readonly (readonly (readonly number[])[])[],
  values: CreditState["values"],
  decay: number,
): { readonly advantages: readonly (readonly (readonly number[])[])[]; readonly values: CreditState["values"] } {
  const after: Record<string, RunningMean> = { ...values };
  const members = placesByName(trajectories.map(({ task }) => task));
  const advantages = trajectories.map((trajectory, i) => {
    const key = `outcome/${trajectory.steps[0]?.stateKey}`;
    const outcome = outcomeOf(trajectory);
    after[key] = takeIn(after[key], outcome, decay);
    if (members.get(trajectory.task)!.length > 1) return compared[i]!;
    const advantage = outcome - meanOf(values[key], 0);
    return trajectory.steps.map(({ mask }, k) => mask.map((own, t) => (own ? compared[i]![k]![t]! + advantage : 0)));
  });
  return { advantages, values: after };
}

/** Σ_k r'_k. */
function outcomeOf({ steps }: CreditedTrajectory): number {
  return steps.reduce((sum, { reward }) => sum + (reward ?? 0), 0);
}

/** Â_i W_i of full and partial trajectories, W_i = 1 and 1/p(y_i): what `omissionCredit` has, up to the 1/n of the whole. */
function omissions(
  trajectories: readonly CreditedTrajectory[],
  outcomes: readonly number[],
  mu: number,
  group: GroupOptions,
): number[] {
  const full = trajectories.flatMap(({ partOf }, i) => (partOf === undefined ? [i] : []));
  const placeOf = new Map(full.map((i, place) => [trajectories[i]!.id, place]));
  const partial = trajectories.flatMap(({ partOf }, i) => (partOf !== undefined && placeOf.has(partOf) ? [i] : []));
  const credit = omissionCredit(
    full.map((i) => {
      const { task, omitted } = trajectories[i]!;
      const taskReward = outcomes[i]!;
      if (omitted === undefined) return { prompt: task, reward: taskReward };
      const { thoughtTokens, observationTokens, totalTokens } = omitted;
      const omission = {
        taskReward,
        omittedThoughtTokens: thoughtTokens,
        omittedObservationTokens: observationTokens,
        totalTokens,
      };
      return { prompt: task, reward: omissionReward(omission, { mu }).reward };
    }),
    partial.map((i) => ({ parent: placeOf.get(trajectories[i]!.partOf!)!, taskReward: outcomes[i]! })),
    group,
  );
  const advantages = trajectories.map(() => 0);
  for (const [place, i] of full.entries()) advantages[i] = credit.fullAdvantages[place]!;
  for (const [place, i] of partial.entries())
    advantages[i] = credit.partialAdvantages[place]! * credit.partialWeights[place]! * full.length;
  return advantages;
}

function rowsOf(trajectories: readonly CreditedTrajectory[]) {
  return {
    trajectories: trajectories.flatMap(({ id, steps }) => steps.map(() => id)),
    steps: trajectories.flatMap(({ steps }) => steps.map((_, k) => k)),
    prompts: trajectories.flatMap(({ task, steps }) => steps.map(() => task)),
  };
}

/** Tokens of whole trajectories back in [trajectory][step][token]. */
function byTokens(trajectories: readonly CreditedTrajectory[], tokens: readonly (readonly number[])[]): number[][][] {
  return trajectories.map(({ steps }, i) => {
    const rest = tokens[i]!.values();
    return steps.map(({ mask }) => mask.map(() => rest.next().value!));
  });
}

function told(logProb: number | undefined, where: string): number {
  if (logProb !== undefined) return logProb;
  throw new AgentError(
    "credit/no-gold",
    `credit by information gain needs the right answer's log-probability, which ${where} has not; give goldLogProb`,
  );
}
