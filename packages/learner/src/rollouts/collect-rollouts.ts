import { AgentError, type LanguageModel, messageOf, mixSeed, type SamplingSettings } from "@afterstate/core";
import { informativeGroups, type OverlongOptions, overlongPenalty } from "../credit/length-shaping.js";
import type { RolloutTask } from "../environments/rollout-environment.js";
import { actWith, type RolledTrajectory, type RollOutOptions, rollOut } from "./roll-out.js";

/** Attempts at the same task by one policy version. */
export interface TrajectoryGroup {
  readonly task: string;
  readonly trajectories: readonly RolledTrajectory[];
}

/** What is collected, and how. */
export interface CollectOptions extends RollOutOptions {
  /** Stays on one version: `policy.model(version)`. */
  readonly model: LanguageModel;
  /** The next task to attempt. */
  readonly draw: () => RolloutTask;
  readonly groups: number;
  readonly groupSize: number;
  readonly seed: number;
  readonly sampling?: Pick<SamplingSettings, "temperature" | "maxTokens">;
  /** DAPO's dynamic sampling: groups of equal outcomes are dropped and others drawn, in at most so many rounds. Absent: all are kept. */
  readonly dynamicSampling?: { readonly maxRounds: number };
  /** DAPO's overlong shaping by a trajectory's sampled tokens, taken from its last reward. What is dropped goes by outcomes as they were. */
  readonly overlong?: OverlongOptions;
  /** More trajectories for a task's group, such as demonstrations. */
  readonly also?: (task: RolloutTask) => Promise<readonly RolledTrajectory[]>;
  readonly signal?: AbortSignal;
}

/** What was collected. */
export interface Rollouts {
  readonly groups: readonly TrajectoryGroup[];
  /** Groups that dynamic sampling dropped. */
  readonly dropped: number;
  /** Attempts that broke off, with what broke them: nothing is learned from them. */
  readonly failures: readonly { readonly task: string; readonly message: string }[];
}

/**
 * Groups of attempts, all of a round side by side: whatever runs at once shares the engine's passes. What an attempt samples depends
 * on the seed and its place alone.
 *
 * @throws AgentError `rollout/no-signal` when dynamic sampling did not find enough groups that can teach anything;
 * `rollout/bad-option`.
 */
export async function collectRollouts(options: CollectOptions): Promise<Rollouts> {
  const { groups: wanted, groupSize, dynamicSampling } = options;
  for (const [name, value] of Object.entries({ groups: wanted, groupSize, maxRounds: dynamicSampling?.maxRounds ?? 1 }))
    if (!Number.isInteger(value) || value < 1)
      throw new AgentError("rollout/bad-option", `${name} is a whole number of at least 1, not ${value}`);
  const failures: Rollouts["failures"][number][] = [];
  const kept: TrajectoryGroup[] = [];
  let drawn = 0;
  for (let round = 0; kept.length < wanted; round++) {
    if (dynamicSampling !== undefined && round === dynamicSampling.maxRounds)
      throw new AgentError(
        "rollout/no-signal",
        `only ${kept.length} of the ${wanted} groups wanted had different outcomes, among ${drawn} in ${round} rounds; draw tasks nearer to what the policy can do, or allow more rounds`,
      );
    const collected = await Promise.all(
      Array.from({ length: wanted - kept.length }, () => collectGroup(options, drawn++, failures)),
    );
    kept.push(...(dynamicSampling === undefined ? collected : collected.filter(isInformative)));
  }
  return { groups: kept.map((group) => shape(group, options.overlong)), dropped: drawn - wanted, failures };
}

async function collectGroup(
  options: CollectOptions,
  place: number,
  failures: Rollouts["failures"][number][],
): Promise<TrajectoryGroup> {
  const { model, draw, groupSize, seed, sampling = {}, signal = new AbortController().signal, also } = options;
  const task = draw();
  const attempts = await Promise.all(
    Array.from({ length: groupSize }, async (_, member) => {
      const seedOf = (stepIndex: number) => mixSeed(seed, place, member, stepIndex);
      try {
        return [await rollOut(task, `${seed}/${place}/${member}`, actWith(model, seedOf, sampling, signal), options)];
      } catch (cause) {
        if (AgentError.isInstance(cause) && cause.code === "rollout/no-tokens") throw cause;
        failures.push({ task: task.id, message: messageOf(cause) });
        return [];
      }
    }),
  );
  // Two draws of the same task are two groups: each is compared within itself, as it was sampled.
  const name = `${place}/${task.id}`;
  const trajectories = [...attempts.flat(), ...((await also?.(task)) ?? [])];
  return { task: name, trajectories: trajectories.map((trajectory) => ({ ...trajectory, task: name })) };
}

function isInformative({ trajectories }: TrajectoryGroup): boolean {
  const outcomes = trajectories.map(({ outcome }) => outcome);
  return (
    informativeGroups(
      outcomes,
      outcomes.map(() => ""),
    ).length > 0
  );
}

function shape(group: TrajectoryGroup, overlong: OverlongOptions | undefined): TrajectoryGroup {
  if (overlong === undefined) return group;
  const trajectories = group.trajectories.map((trajectory) => {
    const sampled = trajectory.steps.reduce((sum, { mask }) => sum + mask.filter(Boolean).length, 0);
    const penalty = overlongPenalty(sampled, overlong);
    const steps = trajectory.steps.map((step, k) =>
      k === trajectory.steps.length - 1 ? { ...step, reward: (step.reward ?? 0) + penalty } : step,
    );
    return { ...trajectory, steps };
  });
  return { ...group, trajectories };
}
